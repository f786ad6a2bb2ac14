"""The plugin keeps the contracts of its words, and does what it says."""

from datetime import UTC, datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from engine.api import Notify, OutgoingMessage, PanelContext, ReadingScope, SendFailed, SetValues
from plugins.example.colours import Colour, ColourWord, example_is_dark
from plugins.example.effects import Post, hand_over
from plugins.example.shown import age
from tests.contracts import action as actions
from tests.contracts import field_type as field_types

NOW = datetime(2026, 3, 15, tzinfo=UTC)


@pytest.mark.parametrize("clause", field_types.CONTRACT, ids=lambda clause: clause.__name__)
def test_the_colour_keeps_the_contract_of_field_types(clause):
    clause(field_types.subject(Colour(), {"example_colour"}))


@pytest.mark.parametrize("clause", actions.CONTRACT, ids=lambda clause: clause.__name__)
def test_handing_over_keeps_the_contract_of_actions(clause):
    clause(actions.Subject(hand_over))


def test_handing_over_sets_the_owner_and_tells_them():
    found, effects = actions.Subject(hand_over, answer=lambda effect: 1 if isinstance(effect, Notify) else None).call({"what": actions.thing(3), "to": 7})
    assert found == 1 and isinstance(effects[0], SetValues) and effects[0].values == {"owner": 7} and effects[1].people == [7]


def test_words_and_darkness_of_colours():
    assert ColourWord().read(["红色"], {}, ReadingScope(field_types.subject(Colour(), ()).scope, NOW)).parts == {"colour": "#c62828"}
    assert example_is_dark.python("#000000") and not example_is_dark.python("#ffffff")


@pytest.mark.parametrize(("status", "again"), [(200, None), (404, False), (503, True)])
def test_a_message_is_posted_with_its_key_and_a_refusal_tells_whether_to_try_again(status, again):
    posted = []
    net = SimpleNamespace(post=lambda *given: posted.append(given) or SimpleNamespace(status=status))
    send = lambda: Post().send(OutgoingMessage("k1", "to", "text"), {"url": "https://x.example"}, "token", net)  # noqa: E731
    if again is None:
        assert send() == {"status": 200}
    else:
        with pytest.raises(SendFailed) as failed:
            send()
        assert failed.value.again is again
    assert b'"key": "k1"' in posted[0][1]


def test_the_panel_tells_how_old_a_record_is():
    ctx = PanelContext("thing", NOW, ZoneInfo("Asia/Shanghai"), "en", lambda *given, **words: [])
    rows = age.show(ctx, {"created_at": datetime(2026, 3, 1, tzinfo=UTC)})
    assert rows[0].text == "14 days" and age.show(ctx, {}) is None
