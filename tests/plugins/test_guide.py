"""The guide for authors of plugins: its examples are taken as they stand there, and keep the contracts it points to."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine import api
from engine.api import Action, CellReader, Connector, Effect, FieldType, Function, OutgoingMessage, PagePanel, PanelContext, Plugin, SendFailed
from tests.contracts import action as actions

GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """What the guide's Python blocks define, one after the other."""
    names: dict[str, Any] = {"__file__": str(GUIDE), "__name__": "guide"}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), names)  # the guide is ours
    return names


def test_each_kind_of_word_is_shown_once(written):
    kinds = (Plugin, Action, PagePanel, Function)
    assert {kind for kind in kinds for item in written.values() if isinstance(item, kind)} == set(kinds)
    bases = (Connector, FieldType, CellReader)
    assert {base for base in bases for item in written.values() if isinstance(item, type) and issubclass(item, base) and item is not base} == set(bases)


@pytest.mark.parametrize("clause", actions.CONTRACT, ids=lambda clause: clause.__name__)
def test_the_action_keeps_the_contract(written, clause):
    clause(actions.Subject(written["close"]))


def test_the_panel_and_the_connector_do_what_they_say(written):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    ctx = PanelContext("customer", now, ZoneInfo("Asia/Shanghai"), "zh", lambda entity, where, **words: [{"score": 5}] if where == "customer == 7" else [])
    assert written["last"].show(ctx, {"id": 7})[0].text == "5" and written["last"].show(ctx, {"id": 8}) is None
    post, message = written["Post"](), OutgoingMessage("k", "to", "text")
    assert post.send(message, {"url": "https://x"}, "s", SimpleNamespace(post=lambda *given: SimpleNamespace(status=200))) == {"status": 200}
    with pytest.raises(SendFailed):
        post.send(message, {"url": "https://x"}, "s", SimpleNamespace(post=lambda *given: SimpleNamespace(status=503)))


def test_every_effect_the_guide_names_is_in_the_public_api_and_no_other(written):
    named = re.search(r"^\* Effects: `([^`]*)`", GUIDE.read_text("utf-8"), re.MULTILINE)
    offered = {name for name, item in vars(api).items() if isinstance(item, type) and issubclass(item, Effect)}
    assert named is not None and set(named[1].split()) == offered - {"Effect"}
