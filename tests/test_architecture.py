"""The shape of the house: which room may import which, one writer, one publisher, one door to record tables. Each message names the right door."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("metadata", "engine", "renderer", "plugins")

#: Third-party packages (and our rooms) each room may import besides the standard library.
ALLOWED = {
    "metadata": {"metadata", "jsonschema", "referencing", "re2"},
    "engine": {
        "metadata",
        "engine",
        "sqlalchemy",
        "alembic",
        "simpleeval",
        "cryptography",
        "argon2",
        "nh3",
        "orjson",
        "pypinyin",
        "puremagic",
        "openpyxl",
        "defusedxml",
        "psycopg",
        "re2",
        "jsonschema",
    },
    "plugins": {"engine", "plugins"},
}
FORBIDDEN_IN_ENGINE = {"fastapi", "starlette", "jinja2", "uvicorn", "renderer", "plugins"}

#: Inside the engine, low to high; a module may import its own level and lower ones.
LEVELS = (
    ("engine.errors", "engine.holidays", "engine.storage", "engine.settings", "engine.messages", "engine.passwords", "engine.time_limit", "engine.bell"),
    ("engine.expressions",),
    (
        "engine.crypto",
        "engine.fields",
        "engine.readers",
        "engine.connectors",
        "engine.outbound",
        "engine.webhooks",
        "engine.panels",
        "engine.plugin",
        "engine.registry",
    ),
    (
        "engine.database",
        "engine.system_tables",
        "engine.system_entities",
        "engine.schema",
        "engine.migrations",
        "engine.clock",
        "engine.rates",
        "engine.jobs",
        "engine.cron",
    ),
    ("engine.workspace", "engine.context", "engine.home", "engine.provenance", "engine.accounts"),
    ("engine.actors",),
    ("engine.access", "engine.scope", "engine.surroundings", "engine.myself"),
    (
        "engine.records.values",
        "engine.records.attachments",
        "engine.records.query",
        "engine.records.filters",
        "engine.records.history",
        "engine.records.derived",
        "engine.records.search",
        "engine.records.record",
        "engine.records.ids",
        "engine.records.work",
        "engine.records.rows",
        "engine.records.bulk_insert",
        "engine.records.carried",
        "engine.records.known",
        "engine.records.row_statements",
        "engine.records.stage_log",
        "engine.records.jsonshape",
    ),
    ("engine.rules", "engine.notices", "engine.outbox"),
    ("engine.records", "engine.rules.engine_effects"),
    (
        "engine.publishing",
        "engine.erasures",
        "engine.subject_file",
        "engine.frozen",
        "engine.many",
        "engine.merge_jobs",
        "engine.modules",
        "engine.settings_values",
        "engine.settings_effects",
        "engine.run_log",
        "engine.explaining",
        "engine.saved_views",
        "engine.drafts",
        "engine.files",
        "engine.exchange",
        "engine.demo",
        "engine.backup",
        "engine.members",
        "engine.upkeep",
        "engine.worker",
        "engine.connections",
        "engine.delivery",
        "engine.outbox_reading",
        "engine.intake",
        "engine.rule_jobs",
        "engine.timed",
        "engine.asks_timed",
        "engine.rule_apart",
        "engine.rehearsal",
        "engine.background",
        "engine.clockwork",
        "engine.scenarios",
        "engine.scenario_steps",
        "engine.scenario_expecting",
        "engine.releasing",
        "engine.releases",
        "engine.trial",
        "engine.replay",
        "engine.rule_drafts",
    ),
    ("engine.api",),
)


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file of every module of the four rooms."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.name.startswith("test_"):  # of the plugin to copy: tests go with it
                continue
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"), filename=name)


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(name: str) -> set[str]:
    """The modules a module imports when it runs (imports for the type checker alone do not count)."""
    found: set[str] = set()
    pending: list[ast.AST] = [tree(name)]
    while pending:
        node = pending.pop()
        if _type_checking(node):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import; write the whole name"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in modules() else str(node.module))
        pending.extend(ast.iter_child_nodes(node))
    return found


def level_of(name: str) -> int | None:
    best = None
    for number, names in enumerate(LEVELS):
        for prefix in names:
            if (name == prefix or name.startswith((prefix + ".", prefix + "_"))) and (best is None or len(prefix) > best[0]):
                best = (len(prefix), number)
    return None if best is None else best[1]


def test_rooms_import_only_what_they_may():
    wrong = []
    standard = set(__import__("sys").stdlib_module_names)
    for name in modules():
        room = name.split(".")[0]
        if room not in ALLOWED:
            continue
        wrong += [f"{name} imports {target}" for target in sorted(imports(name)) if (top := target.split(".")[0]) not in standard and top not in ALLOWED[room]]
    assert not wrong, "a wrong arrow; the rooms are metadata <- engine <- renderer, and plugins -> engine.api:\n" + "\n".join(wrong)


def test_plugins_use_only_the_public_api_of_the_engine():
    wrong = [
        f"{name} imports {target}"
        for name in modules()
        if name.startswith("plugins")
        for target in imports(name)
        if target.startswith("engine") and target != "engine.api" and name != "plugins"
    ]
    assert not wrong, "plugins import engine.api and nothing else of the engine:\n" + "\n".join(wrong)


def test_engine_knows_no_http_no_template_and_no_plugin():
    wrong = [
        f"{name} imports {target}" for name in modules() if name.startswith("engine") for target in imports(name) if target.split(".")[0] in FORBIDDEN_IN_ENGINE
    ]
    assert not wrong, "the renderer shows and listens; the engine does not:\n" + "\n".join(wrong)


def test_every_engine_module_has_its_level_and_imports_only_downwards():
    homeless = [name for name in modules() if name.startswith("engine.") and level_of(name) is None and name != "engine.builtin"]
    assert not homeless, f"give these modules a level in tests/test_architecture.py: {homeless}"
    wrong = []
    for name in modules():
        mine = level_of(name)
        if mine is None:
            continue
        for target in imports(name):
            theirs = level_of(target)
            if theirs is not None and theirs > mine:
                wrong.append(f"{name} (level {mine}) imports {target} (level {theirs})")
    assert not wrong, "inside the engine arrows go up only:\n" + "\n".join(sorted(wrong))


def test_only_app_and_cli_load_plugins():
    wrong = [
        name
        for name in modules()
        if name.startswith(("renderer", "engine", "metadata"))
        and any(target.split(".")[0] == "plugins" for target in imports(name))
        and name not in ("renderer.app", "renderer.cli", "renderer.serving")
    ]
    assert not wrong, f"plugins are loaded in renderer/app.py, renderer/cli.py and renderer/serving.py only: {wrong}"


def test_no_import_cycles():
    graph = {name: sorted(target for target in imports(name) if target in modules() and target != name) for name in modules()}
    state: dict[str, int] = {}

    def visit(name: str, path: list[str]) -> None:
        state[name] = 1
        for target in graph[name]:
            if state.get(target) == 1:
                pytest.fail("import cycle: " + " -> ".join([*path[path.index(target) :], target] if target in path else [*path, target]))
            if target not in state:
                visit(target, [*path, target])
        state[name] = 2

    for name in graph:
        if name not in state:
            visit(name, [name])


#: What is loaded when it is first needed, and by whom: what a server would hold that never needs it.
LATE = {
    "engine.exchange.workbook": "openpyxl",
    "engine.home": "engine.database_postgresql",
    "engine.migrations": "alembic",
    "engine.schema.apply": "alembic",
    "engine.schema.drift": "alembic",
}


def _is_in(module: str, package: str) -> bool:
    return bool(package) and f"{module}.".startswith(f"{package}.")


def test_what_is_loaded_late_is_not_loaded_with_the_server():
    told = subprocess.run([sys.executable, "-c", "import sys, renderer.cli, renderer.serving; print(*sys.modules)"], capture_output=True, text=True, check=True)
    assert not {"psycopg", *LATE.values()} & set(told.stdout.split())


def test_imports_stand_at_the_top_of_the_file():
    wrong = []
    for name in modules():
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = [inner for inner in ast.walk(node) if isinstance(inner, ast.Import | ast.ImportFrom)]
                wrong += [f"{name}:{one.lineno}" for one in inside if not (isinstance(one, ast.ImportFrom) and _is_in(one.module or "", LATE.get(name, "")))]
    assert not wrong, "a function-level import hides an arrow; move the import up or the code to its room:\n" + "\n".join(sorted(set(wrong)))


def _calls(name: str, attribute: str) -> list[int]:
    return [node.lineno for node in ast.walk(tree(name)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == attribute]


def test_only_the_database_commits():
    wrong = [f"{name}:{line}" for name in modules() for line in _calls(name, "commit") if name != "engine.database"]
    assert not wrong, "engine/database.py write() holds the only commit:\n" + "\n".join(wrong)


def test_sql_text_is_written_in_few_places():
    """Identifiers come from Table objects and values are bound (SECURITY R6)."""
    allowed = {"engine.database", "engine.backup"}
    wrong = [
        f"{name}:{node.lineno} {ast.unparse(node.func)}"
        for name in modules()
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("sa.text", "sqlalchemy.text", "sa.literal_column", "literal_column")
        and name not in allowed
        and not name.startswith(("engine.schema", "engine.migrations"))
    ]
    assert not wrong, "no SQL text outside engine/schema, engine/migrations and engine/database:\n" + "\n".join(wrong)


def test_records_are_written_by_the_one_writer_only():
    """Insert, update and delete of record tables stand in engine/records; schema back-fills fill derived columns at publish."""
    allowed = ("engine.records", "engine.schema", "engine.database")
    wrong = []
    for name in modules():
        if name.startswith(allowed):
            continue
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("insert", "update", "delete"):
                owner = ast.unparse(node.func.value)
                if owner.endswith(".table"):
                    wrong.append(f"{name}:{node.lineno} {owner}.{node.func.attr}")
    assert not wrong, "records change in engine/records/service.py and nowhere else:\n" + "\n".join(wrong)


def test_schemas_change_through_publishing_only():
    wrong = [
        f"{name} imports {target}"
        for name in modules()
        for target in imports(name)
        if target == "engine.schema.apply" and not name.startswith(("engine.schema", "engine.publishing"))
    ]
    assert not wrong, "tables change in engine/publishing.py and nowhere else:\n" + "\n".join(wrong)


def test_nothing_of_any_trade_in_code():
    """Real estate lives in presets; the engine, the renderer and the plugins must serve a clinic as well."""
    words = re.compile(r"楼盘|案场|置业|房源|户型|公海|判客|认筹|签约|看房|real_estate|real estate|\bhouse_type\b|\bcustomer\b", re.IGNORECASE)
    wrong = []
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.suffix in {".py", ".html", ".css", ".js"} and "vendor" not in path.parts:
                for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                    if words.search(line):
                        wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not wrong, "trade words belong in presets/:\n" + "\n".join(wrong)


def test_no_file_is_named_after_nothing():
    words = {"manager", "helper", "helpers", "utils", "util", "common", "misc", "handler", "handlers", "base_service", "processor"}
    wrong = [name for name in modules() if words & set(name.split(".")[-1].split("_"))]
    assert not wrong, f"name the noun instead: {wrong}"


def test_files_and_functions_stay_readable():
    """A file over 420 lines hides a second noun, a function over 60 a second verb."""
    long_files = [f"{name}: {lines}" for name, path in modules().items() if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 420]
    long_functions = [
        f"{name}.{node.name}: {node.end_lineno - node.lineno + 1}"
        for name in modules()
        for node in ast.walk(tree(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno + 1 > 60
    ]
    assert not long_files and not long_functions, f"too long: {long_files} {long_functions}"


def test_every_module_says_what_it_is_for():
    wrong = [name for name, path in modules().items() if path.read_text(encoding="utf-8").strip() and not ast.get_docstring(tree(name))]
    assert not wrong, f"a module docstring says what it is responsible for, and what not: {wrong}"
