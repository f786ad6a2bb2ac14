"""Compiled workspaces: everything ready, nothing compiled twice, processes that follow each other's publishes."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine.home import Home
from engine.records import service
from engine.registry import engine_registry
from engine.workspace_checking import with_expressions
from engine.workspace_load import load_workspace
from tests.engine.homes import Homes, Place, small_place


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    made = Homes(tmp_path_factory.mktemp("homes"), lambda: request.getfixturevalue("new_postgres_database"))
    yield made
    made.close()


@pytest.fixture
def place(homes: Homes, database_kind: str) -> Place:
    return small_place(homes.home(database_kind))


@pytest.fixture
def garden(homes: Homes) -> Place:
    return small_place(homes.home("sqlite"))


def test_only_what_a_publish_changes_is_compiled_again(garden: Place) -> None:
    before = garden.workspace.entities
    garden.with_fields("plant", soil={"type": "text", "title": {"zh": "土壤"}})
    after = garden.workspace.entities
    assert {key for key in after if after[key] is not before[key]} == {"plant"}
    garden.publish({("list", "plants"): {"entity": "plant", "title": {"zh": "表"}, "columns": ["name"]}})
    assert all(garden.workspace.entities[key] is after[key] for key in after)


def test_an_entity_whose_link_loses_a_field_is_compiled_again(garden: Place) -> None:
    garden.publish({("entity", "visit"): garden.entity("visit", {"size": {"type": "lookup", "from": "plant.height", "title": {"zh": "高度"}}})})
    before = garden.workspace.entities
    garden.with_fields("plant", height={"type": "money", "title": {"zh": "高度"}})
    assert garden.workspace.entities["visit"] is not before["visit"]
    assert garden.workspace.entities["visit"].fields["size"].value.type == "money"


def test_another_process_sees_the_new_version_on_its_next_request(place: Place) -> None:
    settings = place.home.settings
    other = Home.open(settings, with_expressions(engine_registry()).freeze(), load_workspace)
    try:
        assert other.look(place.name)[0].version == 1
        place.with_fields("plant", soil={"type": "text", "title": {"zh": "土壤"}})
        seen = other.look(place.name)[0]
        assert seen.version == 2 and "soil" in seen.entities["plant"].fields
        assert seen.bundle.digest == place.workspace.bundle.digest
    finally:
        other.close()


def test_a_context_made_before_a_publish_writes_by_the_new_version(place: Place) -> None:
    ctx = place.ctx
    place.with_fields("plant", code={"type": "text", "required": True, "title": {"zh": "编码"}})
    with pytest.raises(Exception, match="required"):
        service.create(ctx, "plant", {"name": "竹"})


def test_entities_know_their_links_lines_labels_and_moves(garden: Place) -> None:
    garden.publish(
        {
            ("entity", "leaf"): {
                "title": {"zh": "叶"},
                "label": "{size} cm {plant}",
                "lines_of": "plant",
                "fields": {
                    "plant": {"type": "link", "to": "plant", "required": True, "title": {"zh": "植物"}},
                    "size": {"type": "integer", "title": {"zh": "大小"}},
                },
            },
            ("entity", "plant"): garden.entity(
                "plant", stages={"field": "stage", "moves": [{"from": ["new"], "to": ["won", "lost"]}, {"from": ["lost"], "to": ["new"], "if": "height > 1"}]}
            ),
        }
    )
    plant, leaf = garden.workspace.entities["plant"], garden.workspace.entities["leaf"]
    assert plant.lines == ("leaf",) and set(plant.linked_from) == {("leaf", "plant"), ("visit", "plant")} and plant.links_to == ("owner",)
    assert leaf.lines_of == "plant" and leaf.parent_field == "plant" and leaf.label == (("", "size"), (" cm ", "plant"))
    assert plant.moves["new", "won"][0].condition is None and plant.moves["lost", "new"][0].condition is not None and ("won", "new") not in plant.moves


def test_formulas_are_ordered_by_what_they_read_and_volatile_ones_are_not_stored(garden: Place) -> None:
    def formula(source: str) -> dict[str, Any]:
        return {"type": "formula", "value": source, "title": {"zh": source}}

    garden.with_fields(
        "plant",
        third=formula("second + 1"),
        second=formula("first + 1"),
        first=formula("coalesce(height, 0) + 1"),
        age=formula("days_since(created_at)"),
        seen={"type": "rollup", "from": "visit.plant", "measure": "count", "title": {"zh": "次"}},
    )
    plant = garden.workspace.entities["plant"]
    order = list(plant.derived_order)
    assert order.index("first") < order.index("second") < order.index("third") and "age" not in order
    assert plant.fields["age"].volatile and plant.fields["age"].column is None and plant.fields["third"].value.type == "integer"
    made = service.create(garden.ctx, "plant", {"name": "a", "height": 1})
    assert made.record["third"] == 4


def test_settings_are_typed_and_defaults_fill_in(garden: Place) -> None:
    garden.publish(
        {
            ("settings", "settings"): {
                "factor": {"type": "integer", "default": 2, "title": {"zh": "系数"}},
                "open_on": {"type": "date", "default": "2026-03-01", "title": {"zh": "开放"}},
                "days": {"type": "map", "by": "stage", "of": "integer", "default": {"new": 3, "else": 9}, "title": {"zh": "天数"}},
            }
        }
    )
    settings = garden.workspace.settings
    assert settings["factor"] == 2 and settings["open_on"].year == 2026 and settings["days"] == {"new": 3, "else": 9}


def test_expressions_are_made_once_per_version(garden: Place) -> None:
    workspace = garden.workspace
    assert workspace.expression("plant", "height > 1", wants="boolean") is workspace.expression("plant", "height > 1", wants="boolean")
