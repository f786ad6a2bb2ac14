"""The six families of refusal. They carry codes and parameters; the sentence is made at the edge, in the reader's language."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

_NONE: Mapping[str, object] = {}


class Fault(NamedTuple):
    """One thing wrong with one input: a JSON pointer into what was given (``/phone``, ``/members/0/name``, ``""`` = the whole), a code, params."""

    pointer: str
    code: str
    params: Mapping[str, object] = _NONE


#: Codes of the database's state.
_PASSING = frozenset({"database_busy", "database_lost", "lost_race"})


class Refusal(Exception):
    """Base of the six families. ``code`` is a key of engine/messages.json, ``params`` fill its sentence."""

    def __init__(self, code: str, *, faults: Iterable[Fault] = (), **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params
        self.faults = tuple(faults)

    def __str__(self) -> str:
        parts = [self.code, *(f"{key}={value!r}" for key, value in self.params.items())]
        parts += [f"{fault.pointer or '/'}: {fault.code} {dict(fault.params)!r}" for fault in self.faults]
        return " ".join(parts)

    @property
    def soft_codes(self) -> tuple[str, ...]:
        """The codes by which a person may go on against it; none when it is final."""
        if self.params.get("soft") is not True:
            return ()
        return tuple(dict.fromkeys(fault.code for fault in self.faults)) or (self.code,)

    @property
    def passing(self) -> bool:
        """Whether it speaks of the database's state, not of what was asked: the same may succeed when it is tried again."""
        return self.code in _PASSING


class Invalid(Refusal):
    """The caller's input is wrong (422). ``faults`` lists every fault, not the first."""


class Denied(Refusal):
    """The caller may not do this, and knows that the thing exists (403)."""


class NotFound(Refusal):
    """No such thing, or none that the caller may see: the two are not told apart (404)."""


class NotLoggedIn(Refusal):
    """Nobody is logged in, or the session or token is over (401)."""


class Conflict(Refusal):
    """Someone was faster, or the database's own guarantee refused: stale, duplicate, in use (409). Params may hold ``current``."""


class Unavailable(Refusal):
    """Cannot be done now: database away, too many attempts, workspace of another release (503 or 429)."""
