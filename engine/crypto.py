"""Encryption of fields: sealed values, blind indexes, and the keys of a workspace wrapped by the installation's secret. Knows no field and no table.

A workspace has a *ring*: data keys by id (one of them current), and one key for blind indexes. The ring is stored in the workspace with each
key wrapped by the installation's secret; a new data key seals what is written from now on, older envelopes name theirs and stay readable.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.errors import Unavailable

if TYPE_CHECKING:
    from engine.settings import Settings

SECRET_FILE = "secret.key"
#: Characters a secret has at least; a made one has 64.
SHORTEST_SECRET = 32
_NONCE = 12
_BLIND_BYTES = 16


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _derived(key: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=b"tangram", info=purpose.encode()).derive(key)


@dataclass(slots=True)
class Cipher:
    """Seals and opens the values of one workspace. Thread-safe: cipher objects and keyed hashes are made once and only copied.

    ``context`` names the place a value belongs to (``entity.field``): an envelope moved to another place does not open.
    """

    keys: Mapping[str, bytes] = field(repr=False)
    current: str
    blind_key: bytes = field(repr=False)
    _ciphers: dict[str, AESGCM] = field(init=False, repr=False)
    _hashes: dict[str, hmac.HMAC] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._ciphers = {name: AESGCM(key) for name, key in self.keys.items()}

    def seal(self, text: str, context: str) -> str:
        """The envelope of a text: key id, then nonce and ciphertext in base64."""
        nonce = os.urandom(_NONCE)
        sealed = self._ciphers[self.current].encrypt(nonce, text.encode(), context.encode())
        return f"{self.current}:{_b64(nonce + sealed)}"

    def open(self, envelope: str, context: str) -> str:
        """The text of an envelope; Unavailable ``envelope_unreadable`` when it was changed, moved, or its key is not in the ring."""
        name, _, body = envelope.partition(":")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise Unavailable("envelope_unreadable", key=name[:20])
        try:
            raw = _raw(body)
            return cipher.decrypt(raw[:_NONCE], raw[_NONCE:], context.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise Unavailable("envelope_unreadable", key=name[:20]) from None

    def is_current(self, envelope: str) -> bool:
        """Whether an envelope is under the current key; others are sealed anew when their record is next written."""
        return envelope.partition(":")[0] == self.current

    def blind(self, type_name: str, normalised: str) -> str:
        """The blind index of a normalised value under this workspace's key for a field type: 128 bits in hex."""
        return self._hash(f"blind:{type_name}", normalised)

    def blind4(self, type_name: str, last4: str) -> str:
        """The same of the last four characters, under a key of its own."""
        return self._hash(f"blind4:{type_name}", last4)

    def _hash(self, purpose: str, text: str) -> str:
        keyed = self._hashes.get(purpose)
        if keyed is None:
            keyed = self._hashes[purpose] = hmac.new(_derived(self.blind_key, purpose), digestmod=hashlib.sha256)
        copy = keyed.copy()
        copy.update(text.encode())
        return copy.digest()[:_BLIND_BYTES].hex()


class Keys:
    """The installation's secret, as far as it is needed: wraps and unwraps the keys of workspaces."""

    __slots__ = ("_master", "made")

    def __init__(self, secret: str, made: Path | None = None) -> None:
        if len(secret) < SHORTEST_SECRET:
            raise Unavailable("secret_short", minimum=SHORTEST_SECRET)
        self._master = AESGCM(_derived(secret.encode(), "wrap"))
        #: The secret file this call made, to be named in the start-up message; None when the secret was there already.
        self.made = made

    @classmethod
    def open(cls, settings: Settings) -> Keys:
        """From TANGRAM_SECRET_KEY; embedded without it: from ``secret.key`` in the data folder, made on first run (0600).

        Unavailable ``secret_missing`` on PostgreSQL without one, ``secret_short`` or ``secret_unreadable`` for one that cannot be used.
        """
        if settings.secret_key:
            return cls(settings.secret_key)
        if not settings.embedded:
            raise Unavailable("secret_missing")
        path = settings.home / SECRET_FILE
        made = _make_secret(path)
        try:
            secret = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable("secret_unreadable", path=str(path)) from error
        return cls(secret, path if made else None)

    def new_ring(self) -> dict[str, Any]:
        """A new workspace's keys, wrapped: plain JSON to be stored with it."""
        ring: dict[str, Any] = {"ring": secrets.token_hex(8), "current": "k1", "keys": {}, "blind": ""}
        ring["keys"]["k1"] = self._wrap(secrets.token_bytes(32), f"{ring['ring']}:k1")
        ring["blind"] = self._wrap(secrets.token_bytes(32), f"{ring['ring']}:blind")
        return ring

    def with_new_key(self, ring: Mapping[str, Any]) -> dict[str, Any]:
        """The ring with one more data key, which is the current one from now on. Blind indexes stay as they are."""
        name = f"k{max(int(known[1:]) for known in ring['keys']) + 1}"
        return {**ring, "current": name, "keys": {**ring["keys"], name: self._wrap(secrets.token_bytes(32), f"{ring['ring']}:{name}")}}

    def rewrapped(self, ring: Mapping[str, Any], other: Keys) -> dict[str, Any]:
        """The same keys wrapped by another secret: for a change of TANGRAM_SECRET_KEY, and for moving a workspace to another installation."""
        place = ring["ring"]
        return {
            **ring,
            "keys": {name: other._wrap(self._unwrap(text, f"{place}:{name}"), f"{place}:{name}") for name, text in ring["keys"].items()},
            "blind": other._wrap(self._unwrap(ring["blind"], f"{place}:blind"), f"{place}:blind"),
        }

    def cipher(self, ring: Mapping[str, Any]) -> Cipher:
        """The cipher of a workspace's ring; Unavailable ``secret_wrong`` when it was wrapped by another secret."""
        place = ring["ring"]
        keys = {name: self._unwrap(text, f"{place}:{name}") for name, text in ring["keys"].items()}
        return Cipher(keys, str(ring["current"]), self._unwrap(ring["blind"], f"{place}:blind"))

    def _wrap(self, key: bytes, context: str) -> str:
        nonce = os.urandom(_NONCE)
        return _b64(nonce + self._master.encrypt(nonce, key, context.encode()))

    def _unwrap(self, text: str, context: str) -> bytes:
        try:
            raw = _raw(text)
            return self._master.decrypt(raw[:_NONCE], raw[_NONCE:], context.encode())
        except (InvalidTag, binascii.Error, ValueError):
            raise Unavailable("secret_wrong") from None


def _make_secret(path: Path) -> bool:
    """Makes the secret file unless it is there; whole or not at all, also when two processes start at once. Tells whether this call made it."""
    if path.exists():
        return False
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise Unavailable("secret_unreadable", path=str(path)) from error
    finally:
        draft.unlink(missing_ok=True)
    return True
