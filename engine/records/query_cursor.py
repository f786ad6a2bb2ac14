"""Where a page ended, as an opaque signed text that only the same query of the same workspace accepts."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from engine.crypto import Cipher
from engine.errors import Fault, Invalid

_KIND = "cursor"


@dataclass(frozen=True, slots=True)
class Position:
    """The last row shown: its sort values in order, its id, and the phase (0: rows with a first sort value, 1: rows without)."""

    phase: int
    values: tuple[Any, ...]
    id: int


def write_cursor(position: Position, query: str, cipher: Cipher) -> str:
    """``query`` names what was asked (entity, conditions, order), so that a cursor cannot be carried elsewhere."""
    body = orjson.dumps([position.phase, position.id, [_out(value) for value in position.values]])
    return f"{_b64(body)}.{_seal(body, query, cipher)}"


def read_cursor(text: str, query: str, cipher: Cipher) -> Position:
    """Raises Invalid when the text was not given by this query."""
    try:
        head, _, seal = text.partition(".")
        body = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
        if not hmac.compare_digest(seal.encode(), _seal(body, query, cipher).encode()):
            raise ValueError("seal")
        phase, record_id, values = orjson.loads(body)
    except (ValueError, binascii.Error) as error:
        raise Invalid("cursor_invalid", faults=(Fault("/cursor", "cursor_invalid"),)) from error
    return Position(phase, tuple(_in(value) for value in values), record_id)


def _seal(body: bytes, query: str, cipher: Cipher) -> str:
    return cipher.blind(_KIND, f"{query}\n{body.decode()}")[:24]


def _b64(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _out(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"i": value.isoformat()}
    if isinstance(value, date):
        return {"d": value.isoformat()}
    return value


def _in(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return datetime.fromisoformat(value["i"]) if "i" in value else date.fromisoformat(value["d"])


def describe(parts: Sequence[object]) -> str:
    """A query's name for ``write_cursor``."""
    return "\n".join(str(part) for part in parts)
