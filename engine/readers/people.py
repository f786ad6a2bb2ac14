"""People in one text: names, titles, phone numbers, and who belongs to whom (``孙丽(丈夫:钱强)``, ``15100151009(先生)``). Knows no trade and no record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.fields.base import Wrong
from engine.fields.phone import PhoneNumber, read_phone
from engine.readers.base import CellReader, Reading, ReadingScope
from engine.readers.cells import cell_text, folded, is_nothing
from metadata.text import Label

#: Word -> (relation, gender); what a word says when it stands before a name, in brackets or beside a number.
RELATIONS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("本人", "自己", "客户本人"), ("self", "")),
    **dict.fromkeys(("丈夫", "老公", "先生", "男方", "爱人(男)"), ("spouse", "male")),
    **dict.fromkeys(("妻子", "老婆", "太太", "夫人", "媳妇", "女方"), ("spouse", "female")),
    **dict.fromkeys(("爱人", "配偶", "对象", "另一半", "未婚妻", "未婚夫"), ("spouse", "")),
    **dict.fromkeys(("父亲", "爸爸", "爸", "岳父", "公公", "父"), ("parent", "male")),
    **dict.fromkeys(("母亲", "妈妈", "妈", "岳母", "婆婆", "母"), ("parent", "female")),
    **dict.fromkeys(("父母", "家长"), ("parent", "")),
    **dict.fromkeys(("儿子", "儿", "女婿"), ("child", "male")),
    **dict.fromkeys(("女儿", "儿媳"), ("child", "female")),
    **dict.fromkeys(("孩子", "子女", "小孩"), ("child", "")),
    **dict.fromkeys(("哥哥", "弟弟", "哥", "弟", "兄"), ("sibling", "male")),
    **dict.fromkeys(("姐姐", "妹妹", "姐", "妹"), ("sibling", "female")),
    **dict.fromkeys(("朋友", "同事", "亲戚", "亲友", "同学"), ("other", "")),
}
TITLES: Mapping[str, str] = {
    **dict.fromkeys(("先生", "男士", "大哥", "叔叔", "师傅"), "male"),
    **dict.fromkeys(("女士", "小姐", "太太", "夫人", "阿姨", "大姐"), "female"),
    "男": "male",
    "女": "female",
}

_SPLIT = re.compile("[/、,;|&\n]|\\s[和与及]\\s|(?<=\x02)\\s*(?=[+0-9])")
_BRACKETS = re.compile(r"[(\[{【<](.*?)[)\]}】>]")
_PHONE = re.compile(
    r"[0-9](?:\.[0-9]+)?[eE]\+?[0-9]{1,2}(?![0-9])|[+]?[0-9](?:[0-9 .*\u2010-\u2015-]|(?<=[0-9])[oO](?=[0-9oO])|(?<=[oO])[oO])*[0-9*oO]"
    r"(?:\s*(?:转接?|分机|;?ext[.=:]?|#)\s*[0-9]{1,6})?"
)
_AREA = re.compile(r"\((0[0-9]{2,3})\)\s*(?=[0-9])")
_LETTER_O = re.compile(r"(?<=[0-9])[oO]+(?=[0-9]|$)")
_LABEL = re.compile(r"^(" + "|".join(sorted(map(re.escape, RELATIONS), key=len, reverse=True)) + r")\s*[::是为]?\s*(.*)$")
_TITLE = re.compile("(" + "|".join(sorted(TITLES, key=len, reverse=True)) + ")$")
_COMPOUND = frozenset(
    {"欧阳", "司马", "上官", "诸葛", "夏侯", "东方", "皇甫", "尉迟", "公孙", "慕容", "令狐", "长孙", "宇文", "司徒", "端木", "南宫", "独孤", "司空"}
)
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U000323af]")


@dataclass(slots=True)
class _Person:
    name: str
    relation: str = ""
    gender: str = ""
    phone: PhoneNumber | None = None
    first_cell: bool = True

    def parts(self) -> dict[str, Any]:
        found: dict[str, Any] = {"name": self.name}
        if self.phone:
            found["phone"] = self.phone.number
            if self.phone.extension:
                found["extension"] = self.phone.extension
        return found | {word: value for word, value in (("gender", self.gender), ("relation", self.relation)) if value}


@dataclass(slots=True)
class _Found:
    """What the cells say so far."""

    people: list[_Person] = field(default_factory=list)
    phones: list[tuple[PhoneNumber, str]] = field(default_factory=list)  # a number and the word beside it
    further: list[PhoneNumber] = field(default_factory=list)  # numbers that stood behind another one
    faults: list[Wrong] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)


class PeopleReader(CellReader):
    """One person and those who belong to them, out of name and phone cells read together."""

    name = "people"
    parts: ClassVar[tuple[str, ...]] = ("name", "phone", "extension", "gender", "others", "more_phones")
    help: ClassVar[Label] = {
        "zh": "姓名、称谓、电话与家人，可写在一格里；others 为其余的人（name phone gender relation），more_phones 为其余号码",
        "en": "Names, titles, phones and family in one text; others: the other people, more_phones: further numbers of the first",
    }

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """``relations`` and ``genders`` of the options rename the codes (spouse parent child sibling other self; male female)."""
        found = _Found()
        for number, cell in enumerate(cells):
            _read_cell(folded(cell_text(cell))[:500], number == 0, found)
        main, others = _settle(found)
        if main.phone is None and found.faults:
            raise Wrong(found.faults[0].code, part="phone")
        if not main.name:
            raise Wrong("name_required", part="name")
        more = _spread(main, others, found)
        relations, genders = options.get("relations") or {}, options.get("genders") or {}
        first = main.parts()
        first.pop("relation", None)
        parts = _renamed(first, relations, genders)
        if others:
            parts["others"] = [_renamed(person.parts(), relations, genders) for person in others]
        if more:
            parts["more_phones"] = [{"phone": item.number, **({"extension": item.extension} if item.extension else {})} for item in more]
        return Reading(parts, tuple(dict.fromkeys(wrong.code for wrong in found.faults)), "、".join(found.rest))


def _renamed(parts: dict[str, Any], relations: Mapping[str, Any], genders: Mapping[str, Any]) -> dict[str, Any]:
    for word, names in (("relation", relations), ("gender", genders)):
        if word in parts:
            parts[word] = names.get(parts[word], parts[word])
    return parts


def _read_cell(text: str, first: bool, found: _Found) -> None:
    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        held.append(match[1])
        return f"\x01{len(held) - 1}\x02"

    text = _BRACKETS.sub(hold, _AREA.sub(r"\1-", text))
    for segment in _SPLIT.split(text):
        notes = [held[int(number)] for number in re.findall("\x01(\\d+)\x02", segment)]
        plain = re.sub("\x01\\d+\x02", " ", segment).strip(" :·.\t")
        if plain or notes:
            _read_segment(plain, notes, first, found)


def _read_segment(plain: str, notes: list[str], first: bool, found: _Found) -> None:
    """One piece between separators: perhaps a label, a name, a number; brackets say more about it."""
    number, words = _take_phone(plain, found)
    person = None
    for name in _names(words):
        relation, gender, name = _labelled(name)
        if not name:
            notes = [words, *notes]
            continue
        if not first and not relation and (number is None or len(name) < 2):
            found.rest.append(name)
            continue
        person = _Person(name, relation, gender or _title(name), number, first)
        found.people.append(person)
    if person is None and number is not None:
        found.phones.append((number, next((note for note in notes if _label_of(note)), "")))
        notes = [note for note in notes if not _label_of(note)]
    found.phones += [(further, "") for further in found.further]
    found.further.clear()
    for note in notes:
        _read_note(note.strip(), person, first, found)


def _read_note(note: str, person: _Person | None, first: bool, found: _Found) -> None:
    """What stands in brackets: somebody else, a gender, a number, or a remark."""
    if not note:
        return
    if person is not None and note in ("男", "女", "男士", "女士", "先生", "小姐"):
        person.gender = person.gender or TITLES[note]
        return
    number, words = _take_phone(note, found)
    relation, gender, name = _labelled(words)
    if name and (relation or number) and len(name) <= 20:
        found.people.append(_Person(name, relation, gender or _title(name), number, first))
    elif number is not None:
        found.phones.append((number, words))
    elif relation and not name:
        found.people.append(_Person(words, relation, gender, None, first))
    elif words:
        found.rest.append(words)


def _take_phone(text: str, found: _Found) -> tuple[PhoneNumber | None, str]:
    """The first number in a text and the text without its numbers; further numbers and faults are kept in ``found``."""
    numbers: list[PhoneNumber] = []
    digits = sum(character.isdigit() for character in text)
    if digits < 5 and not (digits and not _HAN.search(text) and not re.search(r"[A-Za-z]", text)):
        return None, text
    rest = text
    for match in list(_PHONE.finditer(text)):
        written = match[0]
        if sum(character.isdigit() or character == "*" for character in written) < 5 and _HAN.search(text):
            continue
        rest = rest.replace(written, " ", 1)
        numbers += _numbers(written, found)
    if not numbers and rest == text:
        found.faults.append(Wrong("phone_invalid"))
        rest = ""
    found.further += numbers[1:]
    return numbers[0] if numbers else None, rest.strip(" :·.-+\t")


def _numbers(written: str, found: _Found) -> Iterator[PhoneNumber]:
    """The numbers in a run of digits and spaces: one, or several with only spaces between them."""
    tokens = _LETTER_O.sub(lambda match: "0" * len(match[0]), written).split()[:8]
    while tokens:
        for length in range(len(tokens), 0, -1):
            number = read_phone(" ".join(tokens[:length]))
            if isinstance(number, Wrong):
                if length == 1:
                    found.faults.append(number)
                    if number.code == "phone_invalid" and not _any_right(tokens[1:]):
                        return
                    tokens = tokens[1:]
                    break
                continue
            yield number
            tokens = tokens[length:]
            break


def _any_right(tokens: list[str]) -> bool:
    for start in range(len(tokens)):
        for end in range(len(tokens), start, -1):
            if not isinstance(read_phone(" ".join(tokens[start:end])), Wrong):
                return True
    return False


def _names(words: str) -> list[str]:
    """The names in a text without numbers: one as a rule; two full Chinese names with a space between them are two."""
    if not words or is_nothing(words):
        return []
    pieces = words.split()
    if not _HAN.search(words):
        return [" ".join(pieces)]
    if len(pieces) == 2 and all(2 <= len(piece) <= 4 for piece in pieces) and pieces[0] not in _COMPOUND and not _LABEL.match(pieces[0]):
        return pieces
    return ["".join(pieces)]


def _labelled(words: str) -> tuple[str, str, str]:
    """(relation, gender, name) of ``丈夫:钱强`` or ``爱人叶永娟``; a name that only begins like a label stays a name."""
    words = words.strip(" :")
    found = _LABEL.match(words)
    if not found:
        return "", "", words
    label, name = found[1], found[2].strip()
    if name and len(label) == 1 and ":" not in words:
        return "", "", words
    relation, gender = RELATIONS[label]
    if name in ("", "电话", "手机", "号码"):
        return relation, gender, ""
    return relation, gender, name


def _label_of(note: str) -> tuple[str, str] | None:
    words = note.strip(" :的").removesuffix("电话").removesuffix("手机").removesuffix("的")
    if words in RELATIONS:
        return RELATIONS[words]
    return ("", TITLES[words]) if words in TITLES else None


def _title(name: str) -> str:
    found = _TITLE.search(name)
    return TITLES[found[1]] if found and len(name) > len(found[1]) else ""


def _settle(found: _Found) -> tuple[_Person, list[_Person]]:
    """Who leads: the first person without a relation to another one; names that come twice are one person."""
    people: list[_Person] = []
    for person in found.people:
        same = next((other for other in people if other.name == person.name), None)
        if same is None:
            people.append(person)
        else:
            same.phone, same.gender = same.phone or person.phone, same.gender or person.gender
    main = next((person for person in people if person.relation in ("", "self")), None)
    if main is None:
        main = people[0] if people and people[0].first_cell and not any(person.relation == "" for person in people) else _Person("")
    others = [person for person in people if person is not main]
    if main.phone is None:
        taken = next((item for item in found.phones if not item[1] or (_label_of(item[1]) or ("self", ""))[0] in ("self",)), None)
        if taken is None and found.phones and not others:
            taken = found.phones[0]
        if taken is not None:
            main.phone = taken[0]
            found.phones.remove(taken)
    return main, others


def _spread(main: _Person, others: list[_Person], found: _Found) -> list[PhoneNumber]:
    """Numbers that stand alone go to whom their word means, then to those without one in order; what is left is the first person's too."""
    more: list[PhoneNumber] = []
    known = {person.phone.number for person in (main, *others) if person.phone}
    labelled = sorted(found.phones, key=lambda item: _label_of(item[1]) is None)
    for number, word in labelled:
        if number.number in known:
            continue
        known.add(number.number)
        label = _label_of(word)
        if label is None:
            if word:
                found.rest.append(word)
            person = next((other for other in others if other.phone is None), None)
        else:
            person = _meant(others, *label)
            if person is None and label[0] not in ("", "self"):
                person = _Person(word.strip(), label[0], label[1])
                others.append(person)
        if person is None:
            more.append(number)
        else:
            person.phone = number
            person.gender = person.gender or (label[1] if label else "")
    return more


def _meant(others: list[_Person], relation: str, gender: str) -> _Person | None:
    """The person without a number whom a word such as 先生 means: by relation, then by gender."""
    free = [person for person in others if person.phone is None]
    for person in free:
        if (relation and person.relation == relation and gender in ("", person.gender)) or (relation and person.relation == relation and not person.gender):
            return person
    return next((person for person in free if gender and person.gender == gender and person.relation in ("", relation)), None)
