"""Texts: one line, several lines, rich text, e-mail, web address. What may stand in a text, and how long it is, is decided here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from html import unescape
from random import Random
from typing import Any, ClassVar
from urllib.parse import urlsplit

import nh3
import re2  # type: ignore[import-untyped]
import sqlalchemy as sa

from engine.fields.base import CONTAINS, DIFFERS, EMPTY, EQUALS, FILLED, STARTS, FieldType, Operator, Reader, Value, Wrong, option
from engine.fields.scope import FieldScope
from engine.fields.tokens import text_tokens
from metadata.definitions import Field
from metadata.text import Label

LENGTH_OPTIONS: Mapping[str, Mapping[str, object]] = {
    "minLength": option({"type": "integer", "minimum": 0}, ("最短字数", "Shortest length"), ("按字符计", "In characters (code points)")),
    "maxLength": option({"type": "integer", "minimum": 1, "maximum": 100_000}, ("最长字数", "Longest length"), ("按字符计", "In characters (code points)")),
}
PATTERN_OPTION: Mapping[str, Mapping[str, object]] = {
    "pattern": option(
        {"type": "string", "maxLength": 500},
        ("格式（正则表达式）", "Pattern (regular expression)"),
        ("RE2 语法；不写 ^ 和 $ 时出现在任何位置都算", "RE2 syntax; found anywhere in the text unless anchored with ^ and $"),
    )
}
TEXT_OPERATORS = (EQUALS, DIFFERS, CONTAINS, STARTS, EMPTY, FILLED)
NO_NUL = "^[^\\u0000]*$"

_BREAKS = re.compile(r"[\r\n\t\x0b\x0c\x85\u2028\u2029]+")
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+")


@lru_cache(maxsize=512)
def _compiled_pattern(pattern: str) -> Callable[[str], object]:
    """The search of a pattern, linear in the text (RE2); Wrong when the pattern itself is no expression."""
    try:
        search: Callable[[str], object] = re2.compile(pattern).search
    except re2.error as error:
        raise Wrong("pattern_unreadable", pattern=pattern) from error
    return search


_EXPECTED, _BROKEN, _EMAIL_WRONG, _URL_WRONG = Wrong("text_expected"), Wrong("text_broken"), Wrong("email_invalid"), Wrong("url_invalid")


def checked_text(raw: object) -> str | Wrong:
    """A text without NUL and lone surrogates, which no database and no UTF-8 answer can carry; Wrong otherwise. Numbers become their digits."""
    if isinstance(raw, str):
        text = raw
    elif isinstance(raw, int) and not isinstance(raw, bool):
        text = str(raw)
    elif isinstance(raw, float) and raw == raw and abs(raw) < 1e15:
        text = str(int(raw)) if raw.is_integer() else repr(raw)
    else:
        return _EXPECTED
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return _BROKEN
    return _BROKEN if "\0" in text else text


class Text(FieldType):
    """One line of text, kept as it was typed but for white space at its ends; any script, emoji included."""

    name = "text"
    title: ClassVar[Label] = {"zh": "单行文本", "en": "Text"}
    help: ClassVar[Label] = {"zh": "姓名、微信号、车牌等一行文字", "en": "A name, an account, a short remark"}
    icon = "letter-case"
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {**LENGTH_OPTIONS, **PATTERN_OPTION}
    operators: ClassVar[tuple[Operator, ...]] = TEXT_OPERATORS
    longest: ClassVar[int] = 500
    lines: ClassVar[bool] = False

    def expression_type(self, field: Field) -> str:
        """Always text."""
        return "text"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """Text without a length in the database: the limit is a rule about saves and may change without touching the table."""
        return sa.Text()

    def limit(self, field: Field) -> int:
        """The most code points a value may have."""
        return int(field.options.get("maxLength") or self.longest)

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """Trims, refuses what cannot be stored, then length and pattern."""
        longest, shortest = self.limit(field), int(field.options.get("minLength") or 0)
        pattern = field.options.get("pattern")
        find = _compiled_pattern(pattern) if pattern else None
        one_line = not self.lines

        def read(raw: object) -> Value:
            if type(raw) is str and raw.isprintable():  # then it holds no NUL, no half of a surrogate pair and no line break
                value = raw.strip()
            elif raw is None:
                return None
            else:
                text = checked_text(raw)
                if isinstance(text, Wrong):
                    return text
                value = text.strip()
                value = _BREAKS.sub(" ", value) if one_line else value.replace("\r\n", "\n").replace("\r", "\n")
            if not value:
                return None
            return value if len(value) <= longest else Wrong("text_too_long", {"maximum": longest, "length": len(value)})

        def narrow(raw: object) -> Value:
            value = read(raw)
            if value is None or isinstance(value, Wrong):
                return value
            if len(value) < shortest:
                return Wrong("text_too_short", minimum=shortest, length=len(value))
            return value if find is None or find(value) else Wrong("text_pattern", pattern=pattern)

        return narrow if shortest or find is not None else read

    def cell_reader(self, field: Field, scope: FieldScope) -> Reader:
        """A cell of any kind is taken by what it shows."""
        read = self.reader(field, scope)

        def cell(raw: object) -> Value:
            if raw is None or isinstance(raw, str):
                return read(raw)
            return read(raw if isinstance(raw, int | float) and not isinstance(raw, bool) else str(raw))

        return cell

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A string with its length and pattern."""
        schema: dict[str, object] = {"type": "string", "maxLength": self.limit(field)}
        if field.options.get("minLength"):
            schema["minLength"] = field.options["minLength"]
        if field.options.get("pattern"):
            schema["allOf"] = [{"pattern": field.options["pattern"]}]
        schema["pattern"] = NO_NUL
        return schema

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Words of a neutral vocabulary within the length; the first example when there is a pattern."""
        examples = field.body.get("examples")
        if examples:
            return random.choice(list(examples))
        if field.options.get("pattern"):
            return _matching(str(field.options["pattern"]), random)
        shortest, longest = int(field.options.get("minLength") or 0), self.limit(field)
        text = "".join(random.choice(_WORDS) for _ in range(random.randint(1, 3)))
        while len(text) < shortest:
            text += random.choice(_WORDS)
        return text[: max(longest, 1)]

    def search_tokens(self, value: Value, field: Field) -> Sequence[str]:
        """By the field's ``search`` word; none for what is encrypted, or a number that can be masked (SECURITY R2).

        A name or text that can be masked has tokens: the scope compiler asks them only in rows where their reader sees it in clear.
        """
        if value is None or not field.search or field.encrypted or (field.mask and field.search == "phone"):
            return ()
        return text_tokens(field.search, str(value))


_WORDS = ("晨光", "远山", "清河", "松涛", "海棠", "明月", "North", "River", "青石", "Maple")


def _matching(pattern: str, random: Random) -> str:
    """A text for the simple patterns people write (classes and counts); the pattern's own literals otherwise."""
    out = []
    for part, low, high in re.findall(r"(\\d|\[[^\]]+\]|[A-Za-z0-9_\u4e00-\u9fff-])(?:\{(\d+)(?:,(\d*))?\})?", pattern):
        letters = _letters(part)
        most = int(high or low or 1)
        out.append("".join(random.choice(letters) for _ in range(random.randint(int(low or 1), most))))
    return "".join(out)


def _letters(part: str) -> str:
    if part == "\\d":
        return "0123456789"
    if not part.startswith("["):
        return part
    inner = part[1:-1].replace("\\d", "0-9")
    found = "".join("".join(map(chr, range(ord(a), ord(b) + 1))) for a, b in re.findall(r"(.)-(.)", inner))
    return found + re.sub(r".-.", "", inner) or "x"


class LongText(Text):
    """Several lines of text."""

    name = "long_text"
    title: ClassVar[Label] = {"zh": "多行文本", "en": "Long text"}
    help: ClassVar[Label] = {"zh": "备注、说明、跟进内容", "en": "Notes, explanations"}
    icon = "align-left"
    widget = "long_text"
    sortable = False
    longest = 10_000
    lines = True

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """As typed, with its line breaks."""
        return "" if value is None else str(value)


_TAGS = {"p", "br", "b", "strong", "i", "em", "u", "s", "ul", "ol", "li", "blockquote", "a", "h3", "h4"}
_ATTRIBUTES = {"a": {"href"}}
_BLOCK_ENDS = re.compile(r"</(?:p|li|h3|h4|blockquote)>|<br\s*/?>", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[^>]*>")


def sanitised(markup: str) -> str:
    """The markup with every tag, attribute and address outside the allow-list removed (SECURITY R7)."""
    return nh3.clean(markup, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes={"http", "https", "mailto"}, strip_comments=True)


def text_of_markup(markup: str) -> str:
    """What a reader sees of sanitised markup, without tags."""
    return unescape(_ANY_TAG.sub("", _BLOCK_ENDS.sub("\n", markup))).strip()


class RichText(LongText):
    """Formatted text: a small allow-list of HTML, sanitised when it is written; templates may show it as it is stored."""

    name = "rich_text"
    title: ClassVar[Label] = {"zh": "富文本", "en": "Rich text"}
    help: ClassVar[Label] = {"zh": "带格式的文字，保存时清除危险内容", "en": "Formatted text, cleaned when saved"}
    icon = "typography"
    widget = "rich_text"
    longest = 50_000
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {"maxLength": LENGTH_OPTIONS["maxLength"]}
    operators: ClassVar[tuple[Operator, ...]] = (CONTAINS, EMPTY, FILLED)

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """Sanitised after the length is checked; markup that shows nothing is empty."""
        read = super().reader(field, scope)

        def clean(raw: object) -> Value:
            value = read(raw)
            if value is None or isinstance(value, Wrong):
                return value
            markup = sanitised(value)
            return markup if text_of_markup(markup) else None

        return clean

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """The words without the markup."""
        return "" if value is None else text_of_markup(str(value))

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """One paragraph."""
        return f"<p>{super().sample(random, field, scope)}</p>"

    def search_tokens(self, value: Value, field: Field) -> Sequence[str]:
        """Of the words, not of the tags."""
        return super().search_tokens(None if value is None else text_of_markup(str(value)), field)

    def searched(self, value: Value, field: Field) -> Sequence[str]:
        """The words, not the tags."""
        return () if value is None else (text_of_markup(str(value)),)


class Email(Text):
    """An e-mail address; the part after the @ in lower case."""

    name = "email"
    title: ClassVar[Label] = {"zh": "邮箱", "en": "E-mail"}
    group = "special"
    icon = "mail"
    widget = "email"
    longest = 254
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {}

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """The address forms browsers accept, with a domain that has a dot."""
        read = super().reader(field, scope)
        fits = _EMAIL.fullmatch

        def address(raw: object) -> Value:
            value = read(raw)
            if value is None or isinstance(value, Wrong):
                return value
            if not value.isascii():
                value = unicodedata.normalize("NFKC", value)
            if not fits(value):
                return _EMAIL_WRONG
            local, _, domain = value.rpartition("@")
            return f"{local}@{domain.lower()}"

        return address

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """Without full-width letters."""
        return _ascii_only(super().json_reader(field, scope), _EMAIL_WRONG)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A string of format email."""
        return {"type": "string", "format": "email", "maxLength": self.longest, "pattern": f"^{_EMAIL.pattern}$"}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """An address of the domain kept for examples."""
        return f"user{random.randint(1, 99999)}@example.com"

    def mask(self, value: Value, field: Field) -> str:
        """z***@example.com unless another mask is named."""
        if field.mask:
            return super().mask(value, field)
        local, _, domain = str(value or "").rpartition("@")
        return f"{local[:1]}***@{domain}" if value else ""

    def blind(self, value: Value, field: Field) -> str:
        """Addresses differ by more than case only in theory."""
        return str(value).lower()


class Url(Text):
    """A web address, http or https only."""

    name = "url"
    title: ClassVar[Label] = {"zh": "网址", "en": "Web address"}
    group = "special"
    icon = "link"
    widget = "url"
    longest = 2000
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {}

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """An address without a scheme, as people type it, gets https."""
        read = super().reader(field, scope)

        def address(raw: object) -> Value:
            value = read(raw)
            if value is None or isinstance(value, Wrong):
                return value
            if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value) or re.match(r"[^/:?#]+\.[^/:?#]+:\d+(?:[/?#]|$)", value):
                value = f"https://{value.removeprefix('//')}"
            if not is_web_address(value):
                return _URL_WRONG
            return value

        return address

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """With its scheme."""
        read = super().json_reader(field, scope)

        def whole(raw: object) -> Value:
            if isinstance(raw, str) and raw.strip() and not _HTTP.match(raw.strip()):
                return _URL_WRONG
            return read(raw)

        return whole

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A string of format uri."""
        return {"type": "string", "format": "uri", "maxLength": self.longest, "pattern": _HTTP.pattern}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A page of the domain kept for examples."""
        return f"https://example.com/{random.randint(1, 99999)}"


_HTTP = re.compile(r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@\\]*[^\s/?#@\\:.][^\s\\]*$")


def is_web_address(text: str) -> bool:
    """True for an absolute http(s) address with a host, without white space and without a user name in it."""
    if not _HTTP.match(text) or not text.isprintable():
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and "@" not in parts.netloc and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _ascii_only(read: Reader, wrong: Wrong) -> Reader:
    def strict(raw: object) -> Value:
        if isinstance(raw, str) and not raw.strip().isascii():
            return wrong
        return read(raw)

    return strict


__all__ = ["CONTAINS", "Email", "LongText", "RichText", "Text", "Url", "checked_text", "is_web_address", "sanitised", "text_of_markup"]
