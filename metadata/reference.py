"""The reference of the definition language as Markdown, written from the schemas and a vocabulary; docs/reference.md is its output."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metadata.compare import title_of
from metadata.definitions import ENGINE_ENTITIES, KINDS, NAME_SPACES, RESERVED_FIELDS
from metadata.messages import catalogue
from metadata.schemas import SHARED, schema_document
from metadata.step_words import VERBS
from metadata.text import Label, label_text
from metadata.vocabulary import ActionWord, Vocabulary

_HEAD = """# 定义参考 · Reference

本页由 `tangram reference` 生成，请勿手改。This page is written by `tangram reference`; do not edit it.

每份定义是一个 JSON 文件，文件名就是它的标识；`$schema` 只帮助编辑器。标识以小写字母开头，只含小写字母、数字和下划线，最长 40。
Each definition is a JSON file whose name is its key; `$schema` only helps editors. A key is a small letter, then small letters, digits and `_`, at most 40.
"""
_DEEPEST = 4


def reference(vocabulary: Vocabulary) -> str:
    """The whole page."""
    parts = [
        _HEAD,
        _names(),
        *(_kind(kind) for kind in KINDS),
        _shared(),
        _types(vocabulary),
        _functions(vocabulary),
        _actions(vocabulary),
        _readers(vocabulary),
        _connectors(vocabulary),
        _panels(vocabulary),
        _verbs(),
        _codes(),
    ]
    return "\n".join(parts)


def both(label: Label) -> str:
    """A label in both languages, once where they are the same."""
    zh, en = label_text(label, "zh"), label_text(label, "en")
    return zh if zh == en or not en else f"{zh} · {en}" if zh else en


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows)]) + "\n"


def _names() -> str:
    return "\n".join(
        [
            "## 保留的名称 · Reserved names\n",
            f"- 字段 · fields: {', '.join(f'`{name}`' for name in RESERVED_FIELDS)}",
            f"- 实体 · entities: {', '.join(f'`{name}`' for name in ENGINE_ENTITIES)}",
            f"- 名称空间 · name spaces: {', '.join(f'`{name}`' for name in NAME_SPACES)}\n",
        ]
    )


def _kind(kind: str) -> str:
    document = schema_document(kind)
    place = KINDS[kind] if KINDS[kind].endswith(".json") else f"{KINDS[kind]}/KEY.json"
    parts = [f"## {both(title_of(document))} `{place}`\n", both(_described(document)) + "\n", _table(_WORDS, list(_rows(document)))]
    for name, shared in document.get("$defs", {}).items():
        parts += [f"### {name}\n", _table(_WORDS, list(_rows(shared)))]
    return "\n".join(parts)


_WORDS = ("词 · word", "值 · value", "说明 · meaning")


def _described(raw: Mapping[str, Any]) -> Label:
    text = str(raw.get("description", ""))
    return {"zh": text, "en": str(raw.get("x-en", {}).get("description", ""))}


def _rows(raw: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """One row per word, with those below it written with dots."""
    needed = raw.get("required", ())
    for word, below in raw.get("properties", {}).items():
        if word in ("$schema", "note"):
            continue
        name = f"`{prefix}{word}`" + (" *" if word in needed else "")
        meaning = ": ".join(text for text in (both(title_of(below)), both(_described(below))) if text)
        yield name, _value(below), meaning
        yield from _below(below, f"{prefix}{word}", depth)
    others = raw.get("additionalProperties")
    if isinstance(others, dict):
        yield from _rows(others, f"{prefix}KEY.", depth + 1)


def _below(raw: Mapping[str, Any], name: str, depth: int) -> Iterator[tuple[str, str, str]]:
    if depth >= _DEEPEST:
        return
    for branch in (raw, *raw.get("anyOf", ())):
        if branch.get("type") == "object":
            yield from _rows(branch, f"{name}.", depth + 1)
        items = branch.get("items")
        if isinstance(items, dict):
            for item in (items, *items.get("anyOf", ())):
                yield from _rows(item, f"{name}[].", depth + 1)


def _value(raw: Mapping[str, Any]) -> str:
    """What may stand at a place, in short."""
    if "$ref" in raw:
        return f"[{raw['$ref'].rpartition('/')[2]}](#{raw['$ref'].rpartition('/')[2]})"
    if "anyOf" in raw:
        return " / ".join(dict.fromkeys(_value(branch) for branch in raw["anyOf"]))
    if "enum" in raw:
        titles = raw.get("x-enum", {})
        return ", ".join(f"`{value}` {label_text(titles.get(value), 'zh')}".strip() for value in raw["enum"])
    if raw.get("type") == "array":
        items = raw.get("items", {})
        return f"list of {_value(items)}" if items else "list"
    if raw.get("type") == "object" and isinstance(raw.get("additionalProperties"), dict) and not raw.get("properties"):
        return f"KEY: {_value(raw['additionalProperties'])}"
    kind = raw.get("type", "any")
    words = " / ".join(kind) if isinstance(kind, list) else str(kind)
    bounds = [f"{sign} {raw[word]}" for word, sign in (("minimum", "≥"), ("maximum", "≤")) if word in raw]
    named = f" ({raw['x-refers']})" if "x-refers" in raw else ""
    return words + named + ("" if not bounds else " " + ", ".join(bounds))


def _shared() -> str:
    parts = ["## 共用词 · Shared words\n"]
    for name, raw in schema_document(SHARED)["$defs"].items():
        parts += [f"### {name}\n", ": ".join(text for text in (both(title_of(raw)), both(_described(raw))) if text) + f"\n\n{_value(raw)}\n"]
        rows = list(_rows(raw))
        if rows:
            parts.append(_table(_WORDS, rows))
    return "\n".join(parts)


def _types(vocabulary: Vocabulary) -> str:
    rows = []
    for word in vocabulary.field_types.values():
        options = [f"`{name}`{' *' if name in word.required_options else ''} {both(_label(raw.get('title')))}".strip() for name, raw in word.options.items()]
        rows.append((f"`{word.name}`", both(word.title), both(word.help), ", ".join(options)))
    return "## 字段类型 · Field types\n\n" + _table(("类型 · type", "名称 · title", "说明 · meaning", "选项 · options (* required)"), rows)


def _label(value: object) -> Label:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, Mapping) else str(value or "")


def _functions(vocabulary: Vocabulary) -> str:
    rows = [(f"`{word.name}`", f"`{word.signature}`", both(word.help), "" if word.sql else "P") for word in vocabulary.functions.values()]
    return (
        "## 表达式函数 · Expression functions\n\nP：只在规则步骤和显示中可用，不能用于筛选和权限。P: in steps and shown values only, not in filters and grants.\n\n"
        + _table(("函数 · function", "签名 · signature", "说明 · meaning", ""), rows)
    )


def _actions(vocabulary: Vocabulary) -> str:
    note = "P：只算结果，不写任何东西。P: computes a result and writes nothing. * 必填 · required"
    return "\n".join(["## 动作 · Actions\n", f"{note}\n", *(_action(word) for word in vocabulary.actions.values())])


def _action(word: ActionWord) -> str:
    parts = [f"### `{word.name}` {both(word.title)}{' (P)' if word.pure else ''}\n", f"{both(word.help)}\n", _table(_WORDS, list(_rows(word.params)))]
    if word.result:
        parts.append(f"结果 · result: {both(title_of(word.result))}\n")
    touched = [*(f"reads {entity}" for entity in word.reads), *word.writes, *word.does]
    if touched:
        parts.append(f"触及 · touches: {', '.join(f'`{item}`' for item in touched)}\n")
    examples = word.params.get("examples")
    for example in examples if isinstance(examples, Sequence) else ():
        parts.append(f"```json\n{json.dumps(example, ensure_ascii=False)}\n```\n")
    return "\n".join(parts)


def _connectors(vocabulary: Vocabulary) -> str:
    rows = []
    for word in vocabulary.connectors.values():
        options = ", ".join(f"`{name}`" for name in _properties(word.options))
        rows.append((f"`{word.name}`", ": ".join(text for text in (both(word.title), both(word.help)) if text), options, both(word.secret)))
    return "## 连接器 · Connectors\n\n" + _table(("连接器 · connector", "说明 · meaning", "选项 · options", "密钥 · secret"), rows)


def _panels(vocabulary: Vocabulary) -> str:
    rows = [(f"`{word.name}`", both(word.title), f"`{word.entity}`") for word in vocabulary.panels.values()]
    return "## 面板 · Panels of record pages\n\n" + _table(("面板 · panel", "名称 · title", "实体 · entity"), rows)


def _properties(schema: Mapping[str, object]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def _readers(vocabulary: Vocabulary) -> str:
    rows = [(f"`{word.name}`", both(word.help), ", ".join(f"`{part}`" for part in word.parts)) for word in vocabulary.readers.values()]
    return "## 读法 · Readers of cells\n\n" + _table(("读法 · reader", "说明 · meaning", "读出 · parts"), rows)


def _verbs() -> str:
    rows = [(f"`{verb}`", ", ".join(f"`{word}`" for word in words)) for verb, words in VERBS.items()]
    return "## 步骤动词 · Verbs of steps\n\n" + _table(("动词 · verb", "还可写 · other words"), rows)


def _codes() -> str:
    rows = [
        (f"`{code}`", str(entry["zh"]).replace("{{", "{").replace("}}", "}"), str(entry["en"]).replace("{{", "{").replace("}}", "}"))
        for code, entry in sorted(catalogue().items())
    ]
    return "## 问题代码 · Codes of problems\n\n" + _table(("代码 · code", "中文", "English"), rows)
