"""Every registered field type keeps the contract, alone and with its options."""

from zoneinfo import ZoneInfo

import pytest

from engine.fields.scope import FieldScope
from engine.registry import default_registry
from metadata.bundle import Bundle
from metadata.definitions import read_fields
from tests.contracts.field_type import CONTRACT, Subject

REGISTRY = default_registry()
BUNDLE = Bundle(
    {
        ("choices", "grade"): {
            "title": "意向",
            "options": {
                "a": {"title": {"zh": "高", "en": "High"}, "colour": "red"},
                "b": {"title": {"zh": "中", "en": "Medium"}, "parent": "x"},
                "old": {"title": "旧", "retired": True},
                "C1": {"title": "A/B 类", "also": ["其他", "OTHER"]},
            },
        },
        ("entity", "client"): {"title": "对象", "fields": {"name": {"type": "text"}}},
    }
)
SCOPE = FieldScope(BUNDLE, ZoneInfo("Asia/Shanghai"), "client", REGISTRY.field_types)

FIELDS = read_fields(
    {
        "text": {"type": "text"},
        "text_bounded": {"type": "text", "minLength": 2, "maxLength": 12, "search": "name"},
        "text_pattern": {"type": "text", "pattern": "^[A-Z]{2}[0-9]{4}$"},
        "long_text": {"type": "long_text", "search": "text"},
        "rich_text": {"type": "rich_text"},
        "integer": {"type": "integer", "unit": "个"},
        "integer_bounded": {"type": "integer", "minimum": -5, "maximum": 7},
        "decimal": {"type": "decimal"},
        "decimal_bounded": {"type": "decimal", "scale": 3, "minimum": 0.5, "maximum": 99},
        "decimal_whole": {"type": "decimal", "scale": 0},
        "money": {"type": "money"},
        "money_bounded": {"type": "money", "minimum": 0, "maximum": 1_000_000, "currency": "USD"},
        "money_yen": {"type": "money", "currency": "JPY"},
        "percent": {"type": "percent", "minimum": 0, "maximum": 10_000},
        "date": {"type": "date"},
        "instant": {"type": "instant"},
        "instant_ends": {"type": "instant", "ends": "day"},
        "duration": {"type": "duration"},
        "boolean": {"type": "boolean"},
        "choice": {"type": "choice", "choices": "grade"},
        "choices": {"type": "choices", "choices": "grade"},
        "choices_two": {"type": "choices", "choices": "grade", "maxItems": 2},
        "tags": {"type": "tags", "search": "text"},
        "link": {"type": "link", "to": "client"},
        "links": {"type": "links", "to": "client"},
        "person": {"type": "person"},
        "people": {"type": "people", "maxItems": 3},
        "team": {"type": "team"},
        "phone": {"type": "phone", "search": "phone"},
        "phone_sealed": {"type": "phone", "encrypted": True, "last4": True},
        "email": {"type": "email"},
        "url": {"type": "url"},
        "id_no": {"type": "id_no"},
        "region": {"type": "region", "search": "text"},
        "region_city": {"type": "region", "level": "city"},
        "address": {"type": "address"},
        "file": {"type": "file"},
        "files": {"type": "files"},
        "image": {"type": "image"},
        "json": {"type": "json"},
        "serial": {"type": "serial", "template": "KH{yyyy}{mm}-{0000}"},
        "formula": {"type": "formula", "value": "1 + 1", "of": "money"},
        "rollup": {"type": "rollup", "from": "client.owner", "measure": "count"},
        "lookup": {"type": "lookup", "from": "client.name"},
        "double": {"type": "double"},
    }
)


def test_every_registered_type_is_under_contract():
    assert {field.type for field in FIELDS.values()} == set(REGISTRY.field_types)


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("key", FIELDS)
def test_type_keeps_the_contract(key, clause):
    field = FIELDS[key]
    clause(Subject(REGISTRY.field_types[field.type], field, SCOPE))
