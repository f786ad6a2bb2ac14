"""The bar of stages on a record's page: the way in order, and ends of which only one will be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from renderer.record_stages import ahead_of, ways_and_ends


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
