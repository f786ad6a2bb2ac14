"""The bar of stages on a record's page: the way in order, and ends of which only one will be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from renderer.record_stages import ahead_of, is_over, ways_and_ends


def entity(**moves: tuple[str, ...]) -> Any:
    return SimpleNamespace(moves={(before, after): () for before, targets in moves.items() for after in targets})


DEAL = entity(draft=("pending", "void"), pending=("active", "draft", "void"), active=("signed", "refunded"), signed=("refunded",), refunded=("draft",))
CODES = ["draft", "pending", "active", "signed", "refunded", "void", "unused"]


def test_what_leads_no_further_is_an_end_and_what_no_move_names_is_left_out() -> None:
    way, ends = ways_and_ends(DEAL, CODES, "draft")
    assert way == ["draft", "pending", "active", "signed"] and ends == ["refunded", "void"]
    assert ways_and_ends(DEAL, CODES, "unused")[1] == ["refunded", "void", "unused"]


def test_an_end_that_can_no_longer_come_is_not_told() -> None:
    way, _ends = ways_and_ends(DEAL, CODES, "signed")
    assert ahead_of(DEAL, "pending", way) == {"active", "signed", "refunded", "void"} and ahead_of(DEAL, "signed", way) == {"refunded"}


def test_a_record_that_came_to_an_end_is_over() -> None:
    choices = SimpleNamespace(options=dict.fromkeys(CODES))
    ctx: Any = SimpleNamespace(workspace=SimpleNamespace(scope=SimpleNamespace(choices=lambda key: choices)))
    item = SimpleNamespace(definition=SimpleNamespace(options={"choices": "deal"}))
    order: Any = SimpleNamespace(moves=DEAL.moves, stages=SimpleNamespace(field="status"), fields={"status": item})
    assert [code for code in CODES if is_over(ctx, order, {"status": code})] == ["refunded", "void", "unused"]  # type: ignore[arg-type]
    assert not is_over(ctx, SimpleNamespace(stages=None), {}) and not is_over(ctx, order, {"status": None})  # type: ignore[arg-type]
