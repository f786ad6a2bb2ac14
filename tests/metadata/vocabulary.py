"""A vocabulary as the engine would hand it in: the field types of the language with their options, so that metadata is tested alone."""

import re

from metadata.definitions import READ_ENTITIES
from metadata.vocabulary import ActionWord, ExpressionPlace, ExpressionProblem, FieldWord, ReaderWord, Vocabulary

TEXT = {"minLength": {"type": "integer", "minimum": 0}, "maxLength": {"type": "integer", "minimum": 1}, "pattern": {"type": "string"}}
NUMBER = {"minimum": {"type": "number"}, "maximum": {"type": "number"}, "unit": {}}
KEY = {"type": "string"}
MEASURES = {"enum": ["count", "sum", "min", "max", "average", "earliest", "latest"]}
OPTIONS = {
    "text": TEXT,
    "long_text": TEXT,
    "rich_text": {"maxLength": {"type": "integer"}},
    "integer": NUMBER,
    "decimal": {**NUMBER, "scale": {"type": "integer"}},
    "money": {**NUMBER, "currency": {"type": "string"}},
    "percent": NUMBER,
    "boolean": {},
    "date": {"minimum": KEY, "maximum": KEY},
    "instant": {"ends": {"enum": ["day"]}},
    "duration": {},
    "choice": {"choices": KEY, "parent": KEY},
    "choices": {"choices": KEY},
    "tags": {},
    "link": {"to": KEY, "where": KEY},
    "links": {"to": KEY, "where": KEY},
    "person": {"where": KEY},
    "people": {},
    "team": {},
    "phone": {"last4": {"type": "boolean"}},
    "email": {},
    "url": {},
    "id_no": {},
    "region": {"level": {}},
    "address": TEXT,
    "file": {},
    "files": {},
    "image": {},
    "json": {},
    "serial": {"template": KEY},
    "lookup": {"from": KEY},
    "formula": {"value": KEY, "ends": {"enum": ["day"]}, "scale": {"type": "integer"}},
    "rollup": {"from": KEY, "measure": MEASURES, "of": KEY, "by": KEY, "where": KEY},
}
REQUIRED = {
    "choice": ("choices",),
    "choices": ("choices",),
    "link": ("to",),
    "links": ("to",),
    "serial": ("template",),
    "lookup": ("from",),
    "formula": ("value",),
    "rollup": ("from", "measure"),
}
DERIVED = ("lookup", "formula", "rollup")
LINKS = ("link", "links", "person", "people", "team")


def word(name: str) -> FieldWord:
    family = "derived" if name in DERIVED else "link" if name in LINKS else "value"
    return FieldWord(name, {"zh": name}, family, "basic", OPTIONS[name], REQUIRED.get(name, ()))


def suspicious(bundle: object, place: ExpressionPlace, source: str) -> list[ExpressionProblem]:
    """Stands for the engine's expression checker: blames the name ``nonsense`` and reads every typed view of the entity it is asked about."""
    if place.entity is not None:
        assert place.entity in READ_ENTITIES or place.entity in bundle.entities  # type: ignore[attr-defined]
    return [ExpressionProblem(match.start() + 1, "expression_unknown_name", {"name": "nonsense", "meant": ""}) for match in re.finditer("nonsense", source)]


#: An action whose parameters are checked: a constant entity, a record, fields of the entity, rows, a choice.
REACH = ActionWord(
    "ledger.reach",
    {
        "type": "object",
        "properties": {
            "ledger": {"type": "string", "format": "entity"},
            "about": {"type": "integer", "format": "record"},
            "account": {"type": "string", "minLength": 1},
            "targets": {
                "type": "array",
                "format": "list",
                "items": {"type": "object", "properties": {"who": {}, "amount": {"type": "integer"}}, "required": ["who"], "additionalProperties": False},
            },
            "others": {"type": "string", "enum": ["keep", "zero"]},
            "amount": {"type": "string", "format": "field", "x-of": "ledger"},
            "values": {"type": "object", "format": "values", "x-of": "ledger"},
        },
        "required": ["ledger", "about", "targets"],
        "additionalProperties": False,
    },
    result={"type": "integer"},
)
WORDS = Vocabulary(
    field_types={name: word(name) for name in OPTIONS},
    actions={REACH.name: REACH, **{name: ActionWord(name, {"type": "object"}) for name in ("allocate", "choose_owner", "touch.recognise")}},
    readers={"people": ReaderWord("people", ("name", "phone")), "amount_range": ReaderWord("amount_range", ("min", "max"))},
    plugins={"sms": "1.4.0"},
    check_expression=suspicious,
)
