"""UI texts in the reader's language: gettext catalogues (``locale/LANG/*.po``) read at start, and the language of the running request."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

FOLDER = Path(__file__).resolve().parent / "locale"
LOCALES: Mapping[str, str] = {"zh": "中文", "en": "English"}
DEFAULT = "zh"

_current: ContextVar[str] = ContextVar("locale", default=DEFAULT)


@cache
def catalogue(locale: str) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """(context, message) -> its translations (one per plural form) of a language; empty for English, whose texts are the messages."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for path in sorted((FOLDER / locale).glob("*.po")) if locale != "en" else ():
        with path.open("rb") as file:
            for message in read_po(file, locale=locale, abort_invalid=True):
                if not message.id or message.fuzzy:
                    continue
                key = message.id if isinstance(message.id, str) else message.id[0]
                texts = (message.string,) if isinstance(message.string, str) else tuple(message.string)
                if texts and texts[0]:
                    found.setdefault((message.context or "", key), texts)
    return found


def current() -> str:
    """The language of the running request."""
    return _current.get()


@contextmanager
def speaking(locale: str) -> Iterator[None]:
    """Everything inside is said in this language."""
    token = _current.set(locale if locale in LOCALES else DEFAULT)
    try:
        yield
    finally:
        _current.reset(token)


def _(message: str, **params: object) -> str:
    """The text in the running request's language; ``%(name)s`` places take ``params``."""
    found = catalogue(_current.get()).get(("", message))
    text = found[0] if found else message
    return text % params if params else text


def gettext(message: str) -> str:
    """As ``_``, without places: what templates call."""
    found = catalogue(_current.get()).get(("", message))
    return found[0] if found else message


def ngettext(single: str, plural: str, number: int) -> str:
    """The form for a number. Chinese has one."""
    found = catalogue(_current.get()).get(("", single))
    if found:
        return found[0]
    return single if number == 1 else plural


def pgettext(context: str, message: str) -> str:
    """A text whose meaning depends on where it stands."""
    found = catalogue(_current.get()).get((context, message))
    return found[0] if found else message


def npgettext(context: str, single: str, plural: str, number: int) -> str:
    """Both at once."""
    found = catalogue(_current.get()).get((context, single))
    return found[0] if found else (single if number == 1 else plural)


def preferred(accept_language: str) -> str:
    """The first language of an Accept-Language header that we speak; Chinese otherwise."""
    ranked = []
    for index, part in enumerate(accept_language.split(",")[:20]):
        name, _sep, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        ranked.append((-weight, index, name.split("-")[0].lower()))
    return next((name for weight, _index, name in sorted(ranked) if name in LOCALES and weight), DEFAULT)
