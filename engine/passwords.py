"""Passwords: what makes a good one, how it is hashed, and that hashing never eats the machine. Stores nothing."""

import re
from collections.abc import Iterable
from importlib.resources import files
from threading import Semaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from engine.errors import Fault, Invalid

SHORTEST, LONGEST = 10, 128
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_two_at_once = Semaphore(2)  # 19 MiB each: a storm of logins costs 40 MiB at most
#: Hash of nothing anybody knows, so that an unknown login takes as long as a known one.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$JkTbBrdRTwd/qpmWq0hmtA$7kIR00sBTEGvQc0byDeTRkY7EWfUc23R3WqVDCmknk8"
_ROWS = ("1234567890", "0987654321", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1q2w3e4r5t6y", "1qaz2wsx3edc4rfv", "abcdefghijklmnopqrstuvwxyz")


def _weak_words() -> frozenset[str]:
    text = files("engine.builtin").joinpath("weak_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


_WEAK = _weak_words()


def make_hash(password: str) -> str:
    """The argon2id hash to store."""
    with _two_at_once:
        return _hasher.hash(password)


def matches(password: str, stored: str | None) -> bool:
    """Whether the password is the one hashed; takes the same time when nothing is stored."""
    with _two_at_once:
        try:
            return _hasher.verify(stored or _NOBODY, password[:LONGEST]) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


def outdated(stored: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def check_password(password: str, about: Iterable[str] = ()) -> None:
    """Raises Invalid with one fault at ``/password``: too short, too long, guessable, or containing a word ``about`` its owner (login, name, project)."""
    code = _fault(password, about)
    if code:
        raise Invalid("password_refused", faults=[Fault("/password", code, {"least": SHORTEST, "most": LONGEST})])


def _fault(password: str, about: Iterable[str]) -> str:
    if len(password) < SHORTEST:
        return "password_short"
    if len(password) > LONGEST:
        return "password_long"
    plain = password.casefold()
    if any(len(word) >= 2 and word.casefold() in plain for word in about):
        return "password_about_you"
    return "password_common" if _guessable(plain) else ""


def _guessable(plain: str) -> bool:
    """Common words with decoration, keyboard rows, repetition, dates and telephone numbers: what is tried first."""
    core = re.sub(r"[^a-z]+", "", re.sub(r"^[^a-z]+|[^a-z]+$", "", plain).translate(str.maketrans("@$013457", "asoleast")))
    letters = re.sub(r"[^a-z]+", "", plain)
    if plain in _WEAK or letters in _WEAK or core in _WEAK or len(set(plain)) < 5:
        return True
    if any(plain in row * 3 or plain in row[::-1] * 3 for row in _ROWS):
        return True
    if re.fullmatch(r"(.+?)\1+", plain) or re.fullmatch(r"1\d{10}|(19|20)\d{6,8}", plain):
        return True
    return letters == "" and len(plain) < 12
