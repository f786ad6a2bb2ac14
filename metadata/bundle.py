"""All definitions of one workspace: read from a folder, looked up, replaced, written back canonically, and a digest. Whether they are right is check's business."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from metadata.canonical import canonical
from metadata.definitions import KINDS, SINGLE_KINDS, Choices, Definition, Entity, Form, ListView, Loose, Option, Preset, Role, Settings
from metadata.documents import Positions, decode, parse_document
from metadata.reading import read_definition
from metadata.vocabulary import Problem
from metadata.words import closest, key_problem

Key = tuple[str, str]
Documents = Mapping[Key, Mapping[str, Any]]
_D = TypeVar("_D", bound=Definition)

#: The choices key whose options are the roles of the bundle.
ROLE_CHOICES = "role"
MAX_FILES = 5_000
_FOLDERS = {folder: kind for kind, folder in KINDS.items() if kind not in SINGLE_KINDS}
#: What a preset's folder holds besides definitions.
_OTHER_FOLDERS = ("samples", "docs")
_WIDENED = ("fields", "check", "unique")


def file_of(kind: str, key: str) -> str:
    """The file of a definition, relative to the folder of its bundle."""
    return KINDS[kind] if kind in SINGLE_KINDS else f"{KINDS[kind]}/{key}.json"


class Bundle:
    """All definitions of one workspace at one version. Immutable: ``replace`` makes another one.

    The typed views (``entities``, ``roles``, ...) include the engine's base documents and expect documents that ``metadata.check`` found sound;
    ``documents`` holds this bundle's own documents only.
    """

    def __init__(
        self,
        documents: Documents | None = None,
        base: Documents | None = None,
        positions: Mapping[Key, Positions] | None = None,
        texts: Mapping[Key, str] | None = None,
        unread: Iterable[Key] = (),
    ) -> None:
        self.documents: Documents = MappingProxyType(dict(documents or {}))
        self.base: Documents = MappingProxyType(dict(base or {}))
        self.positions: Mapping[Key, Positions] = MappingProxyType(dict(positions or {}))
        self._texts: dict[Key, str] = dict(texts or {})
        #: Definitions whose file is there but could not be read: they are not missing.
        self.unread: frozenset[Key] = frozenset(unread)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and self.digest == other.digest and dict(self.base) == dict(other.base)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Bundle({len(self.documents)} documents, {self.digest[:12]})"

    # -- looking up

    def document(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """A document as it counts: own, base, or a base entity widened by an own file of its name."""
        own, base = self.documents.get((kind, key)), self.base.get((kind, key))
        if own is None or base is None:
            return own if base is None else base
        return widened(base, own) if kind == "entity" else own

    def keys(self, kind: str) -> tuple[str, ...]:
        """Keys of a kind, the engine's first, then in alphabetical order."""
        base = sorted(key for of, key in self.base if of == kind)
        return (*base, *sorted(key for of, key in self.documents if of == kind and (of, key) not in self.base))

    def get(self, kind: str, key: str) -> Definition | None:
        """The typed definition, or None."""
        return self._all.get(kind, {}).get(key)

    @cached_property
    def _all(self) -> Mapping[str, Mapping[str, Definition]]:
        views: dict[str, dict[str, Definition]] = {kind: {} for kind in KINDS}
        for kind in KINDS:
            for key in self.keys(kind):
                document = self.document(kind, key)
                if document is not None:
                    views[kind][key] = read_definition(kind, key, document)
        roles = {key: Option(key, role.title) for key, role in views["role"].items()}
        views["choices"].setdefault(ROLE_CHOICES, Choices(ROLE_CHOICES, {"zh": "角色", "en": "Role"}, {}, roles))
        return {kind: MappingProxyType(view) for kind, view in views.items()}

    def _view(self, kind: str, of: type[_D]) -> Mapping[str, _D]:
        return self._all[kind]  # type: ignore[return-value]

    @property
    def preset(self) -> Preset:
        """The application as a whole; an empty one when there is no preset.json."""
        return self._view("preset", Preset).get("preset") or Preset("", "", {})

    @property
    def settings(self) -> Settings:
        """All parameters; none when there is no settings.json."""
        return self._view("settings", Settings).get("settings") or Settings("settings", "", {})

    @property
    def choices(self) -> Mapping[str, Choices]:
        """Option sets by key; ``role`` holds the roles of this bundle."""
        return self._view("choices", Choices)

    @property
    def entities(self) -> Mapping[str, Entity]:
        """Entities by key, the engine's ``person`` and ``team`` included."""
        return self._view("entity", Entity)

    @property
    def forms(self) -> Mapping[str, Form]:
        """Forms by key."""
        return self._view("form", Form)

    @property
    def lists(self) -> Mapping[str, ListView]:
        """Lists by key."""
        return self._view("list", ListView)

    @property
    def roles(self) -> Mapping[str, Role]:
        """Roles by key."""
        return self._view("role", Role)

    @property
    def rules(self) -> Mapping[str, Loose]:
        """Rules by key."""
        return self._view("rule", Loose)

    @property
    def decisions(self) -> Mapping[str, Loose]:
        """Decision tables by key."""
        return self._view("decision", Loose)

    @property
    def reports(self) -> Mapping[str, Loose]:
        """Reports by key."""
        return self._view("report", Loose)

    @property
    def dashboards(self) -> Mapping[str, Loose]:
        """Dashboards by key."""
        return self._view("dashboard", Loose)

    @property
    def scenarios(self) -> Mapping[str, Loose]:
        """Scenarios by key."""
        return self._view("scenario", Loose)

    # -- texts

    def text(self, kind: str, key: str) -> str:
        """The canonical text of one of this bundle's own documents; KeyError when there is none."""
        text = self._texts.get((kind, key))
        if text is None:
            text = self._texts[kind, key] = canonical(kind, self.documents[(kind, key)])
        return text

    @cached_property
    def digest(self) -> str:
        """sha256 over the canonical texts of the own documents; equal digests mean equal definitions."""
        whole = hashlib.sha256()
        for kind, key in sorted(self.documents):
            whole.update(f"{kind}/{key}\n{self.text(kind, key)}\0".encode("utf-8", "surrogatepass"))
        return whole.hexdigest()

    def replace(self, changes: Mapping[Key, Mapping[str, Any] | None]) -> "Bundle":
        """A bundle with these documents put in place, or taken out where None."""
        documents = {**self.documents, **{key: document for key, document in changes.items() if document is not None}}
        for key, document in changes.items():
            if document is None:
                documents.pop(key, None)
        return Bundle(
            documents,
            self.base,
            {key: at for key, at in self.positions.items() if key not in changes},
            {key: text for key, text in self._texts.items() if key not in changes},
            self.unread - changes.keys(),
        )

    # -- folders

    def write_folder(self, path: Path | str) -> None:
        """Write every own document canonically under ``path`` (made when missing). Files of other definitions are left alone."""
        for kind, key in self.documents:
            target = Path(path) / file_of(kind, key)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(self.text(kind, key), encoding="utf-8", newline="\n")

    @staticmethod
    def read_folder(path: Path | str, base: Documents | None = None) -> tuple["Bundle", list[Problem]]:
        """The bundle of a folder and what is wrong with its files. A file that cannot be read is a problem and no document."""
        reader = _FolderReader(Path(path))
        reader.read()
        return Bundle(reader.documents, base, reader.positions, unread=reader.unread), reader.problems


def widened(base: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """A base entity with what an own file of its name adds: the base's fields, checks and keys first, then the own ones; other words are the file's."""
    document = {**base, **own}
    for word in _WIDENED:
        first, second = base.get(word), own.get(word)
        if isinstance(first, dict) and isinstance(second, dict):
            document[word] = {**first, **{key: value for key, value in second.items() if key not in first}}
        elif isinstance(first, list) and isinstance(second, list):
            document[word] = [*first, *second]
        elif second is None and first is not None:
            document[word] = first
    return document


class _FolderReader:
    """Reads the definitions below one folder, collecting documents, their positions and problems."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.documents: dict[Key, Mapping[str, Any]] = {}
        self.positions: dict[Key, Positions] = {}
        self.problems: list[Problem] = []
        self.unread: set[Key] = set()
        self.count = 0

    def read(self) -> None:
        """Everything below the folder."""
        if not self.root.is_dir():
            self.problems.append(Problem("folder_missing", str(self.root)))
            return
        for entry in sorted(self.root.iterdir()):
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                self.problems.append(Problem("file_symlink", entry.name))
            elif entry.is_dir():
                self.read_kind(entry)
            elif entry.suffix == ".json":
                kind = next((kind for kind in SINGLE_KINDS if KINDS[kind] == entry.name), None)
                if kind is None:
                    self.stray(entry.name, [KINDS[kind] for kind in SINGLE_KINDS])
                else:
                    self.read_file(entry, kind, kind)

    def read_kind(self, folder: Path) -> None:
        """All files of one kind."""
        kind = _FOLDERS.get(folder.name)
        if kind is None:
            if folder.name not in _OTHER_FOLDERS:
                self.stray(folder.name, list(_FOLDERS))
            return
        for entry in sorted(folder.iterdir()):
            name = f"{folder.name}/{entry.name}"
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                self.problems.append(Problem("file_symlink", name))
            elif entry.is_dir() or entry.suffix != ".json":
                self.problems.append(Problem("file_stray", name, params={"name": entry.name, "meant": ""}))
            else:
                if code := key_problem(entry.stem):
                    self.problems.append(Problem(code, name, params={"key": entry.stem}))
                self.read_file(entry, kind, entry.stem)

    def stray(self, name: str, known: list[str]) -> None:
        """A file or folder that is none of ours."""
        self.problems.append(Problem("file_stray", name, params={"name": name, "meant": closest(name, known)}))

    def read_file(self, path: Path, kind: str, key: str) -> None:
        """One definition."""
        file = file_of(kind, key)
        self.count += 1
        self.unread.add((kind, key))
        if self.count > MAX_FILES:
            if self.count == MAX_FILES + 1:
                self.problems.append(Problem("folder_too_large", file, params={"limit": MAX_FILES}))
            return
        try:
            data = path.read_bytes()
        except OSError as error:
            self.problems.append(Problem("file_unreadable", file, params={"reason": error.strerror or ""}))
            return
        text, problems = decode(data, file)
        self.problems += problems
        if text is None:
            return
        document, positions, problems = parse_document(text, file)
        self.problems += problems
        if isinstance(document, dict):
            self.documents[(kind, key)] = document
            self.unread.discard((kind, key))
            self.positions[(kind, key)] = positions
        elif not problems:
            self.problems.append(Problem("json_not_an_object", file, "", {}, *positions.place("")))
