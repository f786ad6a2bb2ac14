"""What the presets promise: each scenario of their folders holds, on SQLite and on PostgreSQL, and leaves every derived value true."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.messages import catalogue
from metadata.messages import sentence
from tests.truth import untrue

from .stages import WORKSPACE, Theatre

PRESETS = Path(__file__).parents[2] / "presets"
FILES = sorted(PRESETS.glob("*/scenarios/*.json"))
PLAYED = [(kind, file) for kind in ("sqlite", "postgresql") for file in FILES]


@pytest.mark.parametrize(("kind", "file"), PLAYED, ids=[f"{kind}-{path.parents[1].name}-{path.stem}" for kind, path in PLAYED])
def test_a_scenario_of_a_preset_holds(kind: str, file: Path, theatre_on: Callable[..., Theatre]) -> None:
    theatre = theatre_on(kind, "each", file.parents[1])
    result = theatre.stage.run(file.stem, theatre.bundle)
    assert result.holds, "\n".join(f"{item.file}:{item.line} {sentence(item.code, item.params, 'zh', catalogue())}" for item in result.problems)
    assert not (lines := untrue(theatre.stage.home, WORKSPACE)), "\n".join(lines)


def test_a_copy_of_a_stage_begins_without_what_was_done_in_another(database_kind: str, theatre_on: Callable[..., Theatre]) -> None:
    stage = theatre_on(database_kind, "each").stage
    home = stage.fresh()
    home.move_clock(WORKSPACE, moved := home.look(WORKSPACE)[1].now.replace(year=2030))
    assert home.look(WORKSPACE)[1].now == moved
    home = stage.fresh()
    assert home.look(WORKSPACE)[1].now < moved
