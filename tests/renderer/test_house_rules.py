"""What the front end promises of itself: one palette, no addresses in the lock, every text in Chinese, every widget with four faces."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from engine.fields.shelf import FIELD_TYPES
from renderer.asset_store import AssetStore
from renderer.assets import icon_names
from renderer.pages.kitchen import sample_fields
from renderer.templates import FACES, Pages
from renderer.translations import catalogue, preferred, speaking

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages(AssetStore())


def test_colours_and_pixels_stand_in_the_token_block_only():
    text = (ROOT / "renderer/static/app.css").read_text(encoding="utf-8")
    rest = re.sub(r"/\*.*?\*/", "", text[text.index("/* ---- base") :], flags=re.DOTALL)
    rest = re.sub(r"@media \([^)]*\)", "", rest)
    wrong = re.findall(r"[^;{}]*(?:#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(|(?<![\w.-])[1-9]\d*(?:\.\d+)?px)[^;{}]*", rest)
    assert not wrong, wrong


def test_every_custom_property_used_is_defined():
    text = (ROOT / "renderer/static/app.css").read_text(encoding="utf-8")
    used, defined = set(re.findall(r"var\((--[\w-]+)", text)), set(re.findall(r"(--[\w-]+)\s*:", text))
    assert used <= defined, used - defined


def _luminance(colour: str) -> float:
    colour = colour if len(colour) == 7 else "#" + "".join(part * 2 for part in colour[1:])
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, two: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_texts_have_enough_contrast_on_every_ground(theme):
    text = (ROOT / "renderer/static/app.css").read_text(encoding="utf-8")
    block = text.split("}", 2)[theme]
    tokens = {
        **dict(re.findall(r"--([\w]+[\w-]*):\s*(#[0-9a-fA-F]{3,6});", text.split("}", 1)[0])),
        **dict(re.findall(r"--([\w]+[\w-]*):\s*(#[0-9a-fA-F]{3,6});", block)),
    }
    pairs = [
        (ink, ground)
        for ink in ("text", "text2", "text3", "accent")
        for ground in ("bg", "surface", "sunken", "accent-bg")
        if (ink, ground) != ("accent", "sunken")
    ]
    pairs += [(name, f"{name}-bg") for name in ("red", "amber", "green", "blue", "violet", "slate")] + [("accent-ink", "accent"), ("ink-text", "ink")]
    weak = {pair: round(_contrast(tokens[pair[0]], tokens[pair[1]]), 2) for pair in pairs if _contrast(tokens[pair[0]], tokens[pair[1]]) < 4.5}
    assert not weak, weak
    assert _contrast(tokens["control"], tokens["surface"]) >= 3


def test_the_lock_file_holds_hashes_and_no_addresses():
    text = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text
    packages = {name: item for name, item in json.loads(text)["packages"].items() if name}
    assert all(item.get("integrity", "").startswith("sha512-") for item in packages.values())
    assert all(
        re.fullmatch(r"[\d.]+", version)
        for group in ("dependencies", "devDependencies")
        for version in json.loads((ROOT / "package.json").read_text())[group].values()
    )


def test_scripts_speak_no_language():
    for name in ("app.js", "theme.js"):
        code = re.sub(r"//.*", "", (ROOT / "renderer/static" / name).read_text(encoding="utf-8"))
        assert not re.search(r"[\u4e00-\u9fff]", code)
        assert "eval(" not in code and "new Function" not in code


def _messages() -> set[str]:
    found: set[str] = set()
    for method, options in (
        ([("**.py", "python")], {}),
        ([("templates/**.html", "jinja2")], {"templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true", "newstyle_gettext": "true"}}),
    ):
        for _file, _line, message, _comments, _context in extract_from_dir(
            ROOT / "renderer", method_map=method, options_map=options, keywords={"_": None, "gettext": None, "ngettext": (1, 2)}
        ):
            found.add(message if isinstance(message, str) else message[0])
    return found


def test_every_text_has_its_chinese():
    assert not _messages() - {message for _context, message in catalogue("zh")}


def test_catalogues_are_clean_and_agree_on_their_places():
    for path in sorted((ROOT / "renderer/locale/zh").glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale="zh", abort_invalid=True):
                if not message.id:
                    continue
                source = message.id if isinstance(message.id, str) else message.id[0]
                texts = (message.string,) if isinstance(message.string, str) else message.string
                for text in texts:
                    assert set(re.findall(r"%\((\w+)\)s", text)) <= set(re.findall(r"%\((\w+)\)s", source)) | {"num"}, (path.name, source)
                    assert not re.search(r"[\u4e00-\u9fff][,;:?!]", text), (path.name, text)


def test_the_language_is_the_first_wanted_one_that_is_spoken():
    assert preferred("en-GB,en;q=0.9") == "en"
    assert preferred("fr, en;q=0.5, zh-CN;q=0.4") == "en"
    assert preferred("") == preferred("de") == preferred(";;q=x,,") == "zh"


def test_every_field_type_has_a_widget_with_four_faces(pages):
    for kind in FIELD_TYPES:
        for face in FACES:
            assert callable(pages.face(kind.widget, face)), (kind.name, face)
        assert (ROOT / "renderer/templates/fields" / f"{kind.widget}.html").exists(), kind.name


@pytest.mark.parametrize("locale", ["zh", "en"])
def test_every_widget_draws_every_face_and_labels_what_it_draws(pages, locale):
    with speaking(locale):
        for field in sample_fields():
            for face in ("input", "cell", "detail"):
                assert "None" not in str(pages.face(field.widget, face)(field)).replace("> None</label>", ""), (field.widget, face)
            assert f'id="{field.id}"' in str(pages.face(field.widget, "input")(field)), field.widget


def test_what_people_typed_is_escaped_by_every_face(pages):
    hostile = '"><script>alert(1)</script>'
    for field in sample_fields():
        changed = replace(
            field,
            value=[hostile] if isinstance(field.value, list) else hostile,
            text=hostile,
            label=hostile,
            help=hostile,
            errors=(hostile,),
            options=tuple(replace(option, label=hostile, value=hostile) for option in field.options),
            picked=tuple(replace(option, label=hostile, value=hostile) for option in field.picked),
        )
        for face in ("input", "cell", "detail"):
            assert "<script>" not in str(pages.face(field.widget, face)(changed)), (field.widget, face)


def test_icons_named_anywhere_are_listed_and_in_the_sprite():
    pattern = re.compile(r'"icon"\s*:\s*"([a-z0-9-]+)"|\bicon(?::\s*ClassVar\[str\])?\s*=\s*"([a-z0-9-]+)"|icon\("([a-z0-9-]+)"')
    named = set()
    for folder, kinds in (("presets", "*.json"), ("engine", "*.json"), ("engine", "*.py"), ("plugins", "*.py"), ("renderer", "*.html"), ("renderer", "*.py")):
        for path in (ROOT / folder).rglob(kinds):
            named |= {word for groups in pattern.findall(path.read_text(encoding="utf-8")) for word in groups if word}
    listed = set(icon_names())
    assert not sorted(name for name in named if name not in listed and f"number-{name}" not in listed), "add them to renderer/static/icons.txt"
    assert AssetStore().icons() == listed
