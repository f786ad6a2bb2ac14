"""What the presets promise: each scenario of their folders holds, on SQLite and on PostgreSQL."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from engine.builtin import DOCUMENTS
from engine.home import Home
from engine.messages import catalogue
from engine.publishing import create_workspace
from engine.scenarios import BEGIN, run_scenario
from metadata.bundle import Bundle
from metadata.messages import sentence

PRESETS = Path(__file__).parents[2] / "presets"
_numbers = count(1)


FILES = sorted(PRESETS.glob("*/scenarios/*.json"))

if FILES:

    @pytest.mark.parametrize("file", FILES, ids=[f"{path.parents[1].name}-{path.stem}" for path in FILES])
    def test_a_scenario_of_a_preset_holds(file: Path, database_kind: str, open_home: Callable[[str], Home]) -> None:
        home, bundle = open_home(database_kind), Bundle.read_folder(file.parents[1], DOCUMENTS)[0]
        workspace = create_workspace(home, f"promise{next(_numbers)}", bundle, sandbox=True, now=BEGIN)
        result = run_scenario(home, workspace, file.stem, bundle)
        assert result.holds, "\n".join(f"{item.file}:{item.line} {sentence(item.code, item.params, 'zh', catalogue())}" for item in result.problems)
