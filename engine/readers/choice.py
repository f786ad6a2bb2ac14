"""Options in messy cells: by code, label or another spelling, alone, several, or inside a longer text; a child option gives its parent, too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.fields.base import Wrong
from engine.fields.choice import known_spellings
from engine.fields.lists import spelling
from engine.fields.scope import FieldScope
from engine.readers.base import CellReader, Reading, ReadingScope
from engine.readers.cells import cell_text, folded
from metadata.definitions import Choices, Field
from metadata.text import Label

_SEPARATORS = re.compile(r"[,;/、|&+\n\s]+")
_BRACKETED = re.compile(r"^(.*?)[(\[【](.*?)[)\]】]?$", re.DOTALL)
_NO_OPTIONS = Choices(key="", title="", body={}, options={})


@dataclass(frozen=True, slots=True)
class _Match:
    code: str
    child: str = ""
    rest: str = ""
    differs: bool = False


@dataclass(frozen=True, slots=True)
class _Options:
    """The option sets of one column: its own, that of the field below it, and the column's own table of words."""

    own: Choices
    child: Choices
    given: Mapping[str, Any]
    own_spellings: Mapping[str, str]
    child_spellings: Mapping[str, str]

    def exact(self, text: str) -> _Match | None:
        """A text that is a spelling as a whole."""
        key = spelling(text)
        code = self.own_spellings.get(key)
        if code is not None:
            return _Match(code, differs=key not in _proper(self.own, code))
        child = self.child_spellings.get(key)
        if child is not None:
            return self._under(child, key)
        return None

    def _under(self, child: str, key: str) -> _Match:
        parents = self.child.options[child].parents
        return _Match(parents[0] if parents else "", child, differs=key not in _proper(self.child, child))

    def within(self, text: str) -> _Match | None:
        """The longest spelling of two characters or more that stands in the text; the rest of the text is left over."""
        folded_text = spelling(text)
        best: tuple[int, str, bool] | None = None
        for spellings, is_child in ((self.own_spellings, False), (self.child_spellings, True)):
            for word in spellings:
                if len(word) >= 2 and word in folded_text and (best is None or len(word) > best[0]):
                    best = (len(word), word, is_child)
        if best is None:
            return None
        _, word, is_child = best
        rest = folded_text.replace(word, " ", 1).strip(" -—:()[]【】的")
        if is_child:
            found = self._under(self.child_spellings[word], word)
            return _Match(found.code, found.child, rest, True)
        return _Match(self.own_spellings[word], "", rest, True)


def _proper(choices: Choices, code: str) -> set[str]:
    title = choices.options[code].title
    return {spelling(code), *(spelling(text) for text in ((title,) if isinstance(title, str) else title.values()))}


class ChoiceReader(CellReader):
    """One option or several of the option sets of the fields its parts go to."""

    name = "choice"
    parts: ClassVar[tuple[str, ...]] = ("code", "codes", "child")
    help: ClassVar[Label] = {
        "zh": "选项，按代码、名称或别名；child 为下级选项（参数 map：先查的对照表）",
        "en": "Options by code, label or other spelling; child: an option of the set below (option map: words looked up first)",
    }

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """Wrong ``choice_unknown`` when nothing in the cell is an option."""
        fields: Mapping[str, Field] = options.get("fields") or {}
        text = " ".join(cell_text(cell) for cell in cells).strip()
        given = {spelling(str(word)): code for word, code in (options.get("map") or {}).items()}
        several = "codes" in fields and "code" not in fields
        if spelling(text) in given:
            code = given[spelling(text)]
            return Reading({} if code is None else {"codes": [code]} if several else {"code": code})
        sets = _options(fields, given, scope.fields)
        if several:
            return _read_several(text, sets)
        match = _read_one(text, sets)
        if match is None:
            raise Wrong("choice_unknown", value=text[:60])
        parts = {word: code for word, code in (("code", match.code), ("child", match.child)) if code}
        return Reading(parts, rest=match.rest, differs=match.differs)


def _options(fields: Mapping[str, Field], given: Mapping[str, Any], scope: FieldScope) -> _Options:
    own, child = (_choices(fields.get(part), scope) for part in ("code", "child"))
    if "code" not in fields:
        own = _choices(fields.get("codes"), scope)
    return _Options(own, child, given, known_spellings(own), known_spellings(child))


def _choices(field: Field | None, scope: FieldScope) -> Choices:
    return scope.choices(str(field.options.get("choices", ""))) if field is not None else _NO_OPTIONS


def _read_one(text: str, sets: _Options) -> _Match | None:
    """The whole text, then what stands before brackets, then the longest spelling inside it."""
    match = sets.exact(text)
    if match is not None:
        return match
    bracketed = _BRACKETED.match(folded(text))
    if bracketed and bracketed[2]:
        match = sets.exact(bracketed[1])
        if match is not None:
            return _Match(match.code, match.child, bracketed[2].strip(), True)
    return sets.within(text)


def _read_several(text: str, sets: _Options) -> Reading:
    whole = sets.exact(text)
    pieces = [text] if whole else [piece for piece in _SEPARATORS.split(folded(text)) if piece]
    found: dict[str, None] = {}
    rest: list[str] = []
    differs = False
    for piece in pieces:
        code = sets.given.get(spelling(piece))
        match = _Match(str(code)) if code is not None else _read_one(piece, sets)
        if match is None or not match.code:
            rest.append(piece)
            continue
        found[match.code] = None
        differs = differs or match.differs
        if match.rest:
            rest.append(match.rest)
    if not found:
        raise Wrong("choice_unknown", value=text[:60])
    return Reading({"codes": list(found)}, rest="、".join(rest), differs=differs)
