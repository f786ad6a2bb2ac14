"""Every text of the pages has its Chinese; no translation is doubted, twice there, or breaks its places."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from renderer import translations

ROOT = Path(translations.__file__).resolve().parent
_PLACE = re.compile(r"%\((\w+)\)s")


def said() -> set[tuple[str, str]]:
    """(context, text) of every call of a translation function in Python and in templates."""
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2), "npgettext": ((1, "c"), 2, 3)}
    options = {"**.html": {"newstyle_gettext": "true", "trimmed": "false", "silent": "false"}}
    found = set()
    for _file, _line, message, _comments, context in extract_from_dir(ROOT, [("**.py", "python"), ("**.html", "jinja2")], options, keywords):
        found.add((context or "", message if isinstance(message, str) else message[0]))
    return found


def test_there_are_texts_to_translate():
    assert len(said()) > 300


def test_every_text_has_its_chinese():
    known = translations.catalogue("zh")
    assert sorted(text for context, text in said() if (context, text) not in known) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("locale/zh/*.po")), ids=lambda path: path.stem)
def test_translations_keep_their_places_and_are_sure(path):
    with path.open("rb") as file:
        messages = [message for message in read_po(file, locale="zh", abort_invalid=True) if message.id]
    for message in messages:
        single = message.id if isinstance(message.id, str) else message.id[0]
        texts = [message.string] if isinstance(message.string, str) else list(message.string)
        assert not message.fuzzy, single
        assert all(set(_PLACE.findall(text)) <= set(_PLACE.findall(single)) | {"num"} for text in texts), single


def test_no_text_is_translated_twice():
    counts: Counter[tuple[str, str]] = Counter()
    for path in sorted(ROOT.glob("locale/zh/*.po")):
        with path.open("rb") as file:
            counts.update(
                (message.context or "", message.id if isinstance(message.id, str) else message.id[0]) for message in read_po(file, locale="zh") if message.id
            )
    assert [key for key, number in counts.items() if number > 1] == []
