"""What has changed between two bundles, in the words an administrator would use: place by place, with the value before and after."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metadata.bundle import Bundle
from metadata.definitions import KINDS, SINGLE_KINDS
from metadata.documents import pointer
from metadata.keyed import by_key, identical, same_order
from metadata.messages import sentence, shown
from metadata.schemas import Schema, schema_document, schema_of, step_into
from metadata.shape import Path
from metadata.text import Label, label_text

_NAMED = ("label", "text")
_LOCALES = ("zh", "en")
#: Words of field types that most of them share, as people call them; others are called as they are written.
_OPTION_WORDS: Mapping[str, Label] = {
    word: {"zh": zh, "en": en}
    for word, zh, en in (
        ("minLength", "最短", "Shortest"),
        ("maxLength", "最长", "Longest"),
        ("minimum", "最小", "Minimum"),
        ("maximum", "最大", "Maximum"),
        ("pattern", "格式", "Pattern"),
        ("choices", "选项集", "Option set"),
        ("parent", "上级字段", "Parent field"),
        ("to", "指向", "Leads to"),
        ("from", "取自", "Taken from"),
        ("of", "统计字段", "Of"),
        ("by", "按", "By"),
        ("where", "条件", "Where"),
        ("measure", "统计方式", "Measure"),
        ("value", "公式", "Formula"),
        ("template", "编号模板", "Template"),
        ("scale", "小数位", "Decimal places"),
        ("unit", "单位", "Unit"),
        ("currency", "币种", "Currency"),
        ("ends", "到当天结束", "Ends with the day"),
        ("last4", "后四位可查", "Found by the last four"),
    )
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One change. ``path`` is a JSON pointer (into the new document, or the old one where the place is gone); ``where`` its steps in words.

    ``code``: definition_added, definition_removed, part_added, part_removed, part_changed, part_retired, part_restored, order_changed.
    ``subject``: what was added, removed or retired. ``before`` and ``after`` are None where there was or is nothing.
    """

    kind: str
    key: str
    path: str
    code: str
    where: tuple[Label, ...]
    subject: Label = ""
    before: Any = None
    after: Any = None

    @property
    def params(self) -> Mapping[str, object]:
        """The parameters of the sentence, still in all languages."""
        return {"where": self.where, "subject": self.subject, "before": self.before, "after": self.after}

    def sentence(self, locale: str = "zh") -> str:
        """The change in one sentence."""
        where = " › ".join(label_text(part, locale) for part in self.where)
        return sentence(
            self.code,
            {"where": where, "subject": label_text(self.subject, locale), "before": shown(self.before, locale), "after": shown(self.after, locale)},
            locale,
        )


def compare(old: Bundle, new: Bundle) -> list[Difference]:
    """Every change of the own documents, kinds in their fixed order, then keys."""
    found: list[Difference] = []
    order = list(KINDS)
    for kind, key in sorted({*old.documents, *new.documents}, key=lambda place: (order.index(place[0]), place[1])):
        before, after = old.documents.get((kind, key)), new.documents.get((kind, key))
        name = _kind_name(kind, key, after if after is not None else before)
        if before is None:
            found.append(Difference(kind, key, "", "definition_added", (), name, None, after))
        elif after is None:
            found.append(Difference(kind, key, "", "definition_removed", (), name, before, None))
        elif not identical(before, after):
            found += _Comparing(kind, key, _fields(old, before) | _fields(new, after)).node(before, after, schema_of(kind), (), (name,))
    return found


def _fields(bundle: Bundle, document: Mapping[str, Any]) -> dict[str, Label]:
    """What the fields of the entity a form or list is of are called."""
    fields = (bundle.documents.get(("entity", str(document.get("entity", "")))) or {}).get("fields")
    return {key: as_label(body.get("title"), key) for key, body in fields.items() if isinstance(body, Mapping)} if isinstance(fields, Mapping) else {}


def _kind_name(kind: str, key: str, document: Mapping[str, Any] | None) -> Label:
    """A definition in words: kind and title."""
    words = title_of(schema_document(kind))
    if kind in SINGLE_KINDS:
        return words
    title = as_label((document or {}).get("title"), key)
    return {locale: f"{label_text(words, locale)}{quoted(label_text(title, locale, key), locale)}" for locale in _LOCALES}


def quoted(text: str, locale: str) -> str:
    """A name in the quotation marks of the language."""
    return f"「{text}」" if locale == "zh" else f" “{text}”"


def title_of(raw: Mapping[str, Any]) -> Label:
    """The title of a place of a schema in both languages."""
    title = str(raw.get("title", ""))
    return {"zh": title, "en": str(raw.get("x-en", {}).get("title", title))}


class _Comparing:
    """Compares two documents of one definition."""

    def __init__(self, kind: str, key: str, fields: Mapping[str, Label]) -> None:
        self.kind, self.key, self.fields = kind, key, fields

    def node(self, before: Any, after: Any, schema: Schema, path: Path, where: tuple[Label, ...]) -> Iterator[Difference]:
        """Changes at and below one place."""
        if identical(before, after):
            return
        if isinstance(before, dict) and isinstance(after, dict) and not _named(schema):
            yield from self.members(before, after, schema, path, where)
            return
        if isinstance(before, list) and isinstance(after, list):
            first, second = by_key(before), by_key(after)
            if first is not None and second is not None:
                yield from self.items(first, second, schema, path, where)
                return
        yield Difference(self.kind, self.key, pointer(*path), "part_changed", where, "", before, after)

    def members(self, before: Mapping[str, Any], after: Mapping[str, Any], schema: Schema, path: Path, where: tuple[Label, ...]) -> Iterator[Difference]:
        """Changes of an object's members: words by their title in the schema, people's own keys by the title they have."""
        for key in dict.fromkeys([*after, *before]):
            if key == "$schema":
                continue
            below = step_into(schema, key)
            known = key in schema.properties
            at = Difference(
                self.kind, self.key, pointer(*path, key), "", where, title_of(below.raw) if known else _own_name(key, after.get(key, before.get(key)))
            )
            if key == "retired" and known and bool(before.get(key)) != bool(after.get(key)):
                yield _as(at, "part_retired" if after.get(key) is True else "part_restored", before.get(key), after.get(key))
            elif key == "retired" and known and not (key in before and key in after):
                continue  # not said, and said to be false, are the same
            elif known and (key not in before or key not in after):
                yield _as(at, "part_changed", before.get(key), after.get(key), (*where, at.subject))
            elif key not in before:
                yield _as(at, "part_added", None, after[key])
            elif key not in after:
                yield _as(at, "part_removed", before[key], None)
            else:
                yield from self.node(before[key], after[key], below, (*path, key), (*where, at.subject))
        if not schema.properties and not same_order(list(before), list(after)):
            yield Difference(self.kind, self.key, pointer(*path), "order_changed", where, "", list(before), list(after))

    def items(self, before: Mapping[Any, Any], after: Mapping[Any, Any], schema: Schema, path: Path, where: tuple[Label, ...]) -> Iterator[Difference]:
        """Changes of a keyed list."""
        places = {**{key: number for number, key in enumerate(before)}, **{key: number for number, key in enumerate(after)}}
        for key in dict.fromkeys([*after, *before]):
            name = _own_name(str(key), after.get(key, before.get(key)))
            at = Difference(self.kind, self.key, pointer(*path, places[key]), "", where, self.fields.get(str(name), name) if name == str(key) else name)
            if key not in before:
                yield _as(at, "part_added", None, after[key])
            elif key not in after:
                yield _as(at, "part_removed", before[key], None)
            else:
                yield from self.node(before[key], after[key], step_into(schema, 0), (*path, places[key]), (*where, at.subject))
        if not same_order(list(before), list(after)):
            yield Difference(self.kind, self.key, pointer(*path), "order_changed", where, "", list(before), list(after))


def _as(at: Difference, code: str, before: Any, after: Any, where: tuple[Label, ...] | None = None) -> Difference:
    return Difference(at.kind, at.key, at.path, code, at.where if where is None else where, at.subject, before, after)


def _named(schema: Schema) -> bool:
    """Whether a label or text stands here: one value to people, though an object in JSON."""
    return str(schema.raw.get("$ref", "")).rpartition("/")[2] in _NAMED


def as_label(value: Any, fallback: Label) -> Label:
    """A label as written, or the fallback where none (or something else) stands."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Mapping) and value and all(isinstance(text, str) for text in value.values()):
        return {str(locale): str(text) for locale, text in value.items()}
    return fallback


def _own_name(key: str, value: Any) -> Label:
    """A thing with a key of its own: the title it has, else the key."""
    return as_label(value.get("title", value.get("section")) if isinstance(value, Mapping) else None, _OPTION_WORDS.get(key, key))
