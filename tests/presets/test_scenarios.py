"""What the presets promise: each scenario of their folders holds, on SQLite and on PostgreSQL.

``TANGRAM_TEST_SIZE=full``: all of them on both. Otherwise each on one: every sixth on PostgreSQL, where each needs a database copied, the others on SQLite.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.builtin import DOCUMENTS
from engine.messages import catalogue
from metadata.bundle import Bundle
from metadata.messages import sentence
from renderer.serving import all_words

from .stages import WORKSPACE, Theatre

PRESETS = Path(__file__).parents[2] / "presets"
FILES = sorted(PRESETS.glob("*/scenarios/*.json"))
FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"
PLAYED = [(kind, file) for kind in ("sqlite", "postgresql") for place, file in enumerate(FILES) if FULL or (place % 6 == 0) is (kind == "postgresql")]


@pytest.fixture(scope="module")
def stage_of(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[[str, Path], Theatre]]:
    """Each preset published once on each kind of database; PostgreSQL is only started when asked for."""
    stages: dict[tuple[str, Path], Theatre] = {}
    with ExitStack() as open_stages:

        def make(kind: str, folder: Path) -> Theatre:
            if (kind, folder) not in stages:
                server = (lambda: str(request.getfixturevalue("postgres_url"))) if kind == "postgresql" else None
                bundle = Bundle.read_folder(folder, DOCUMENTS)[0]
                stages[kind, folder] = Theatre(tmp_path_factory.mktemp("stage"), all_words(), bundle, server)
                open_stages.callback(stages[kind, folder].close)
            return stages[kind, folder]

        yield make


@pytest.mark.parametrize(("kind", "file"), PLAYED, ids=[f"{kind}-{path.parents[1].name}-{path.stem}" for kind, path in PLAYED])
def test_a_scenario_of_a_preset_holds(kind: str, file: Path, stage_of: Callable[[str, Path], Theatre]) -> None:
    theatre = stage_of(kind, file.parents[1])
    result = theatre.stage.run(file.stem, theatre.bundle)
    assert result.holds, "\n".join(f"{item.file}:{item.line} {sentence(item.code, item.params, 'zh', catalogue())}" for item in result.problems)


def test_a_copy_of_a_stage_begins_without_what_was_done_in_another(stage_of: Callable[[str, Path], Theatre]) -> None:
    for kind in ("sqlite", "postgresql"):
        stage = stage_of(kind, FILES[0].parents[1]).stage
        home = stage.fresh()
        home.move_clock(WORKSPACE, moved := home.look(WORKSPACE)[1].now.replace(year=2030))
        assert home.look(WORKSPACE)[1].now == moved
        home = stage.fresh()
        assert home.look(WORKSPACE)[1].now < moved
