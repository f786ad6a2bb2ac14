"""The Jinja environment: translations, icons, labels, field macros, static addresses. Decides nothing; templates get bound views."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nh3
from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined, TemplateNotFound
from markupsafe import Markup, escape

from metadata.text import Label, label_text
from renderer import formats, translations
from renderer.asset_store import AssetStore
from renderer.moulds import Kept, Moulds, hole

if TYPE_CHECKING:
    from renderer.bound_field import BoundField
    from renderer.shell import PageView

FOLDER = Path(__file__).resolve().parent / "templates"
FACES = ("input", "cell", "detail", "filter")
_FALLBACK_ICON = "point"
_KEPT_AT_MOST = 4000
#: What pages put into base.html.
_BLOCKS = ("title", "scripts", "crumbs", "page_class", "main", "dialogs")
_EMPTY_BLOCKS = dict.fromkeys(_BLOCKS, "")
_BLOCK_HOLES = {block: hole(block) for block in _BLOCKS}
_ICON_NAME = re.compile(r"^[a-z0-9-]{1,60}$")


class Pages:
    """Renders templates by name. One for the process; thread-safe."""

    def __init__(self, assets: AssetStore, plugin_folders: Mapping[str, Path] | None = None) -> None:
        self.assets = assets
        self._icons = assets.icons()
        self._drawn: dict[tuple[str, str], Markup] = {}
        self._kept: dict[Hashable, Markup] = {}
        self._moulds = Moulds()
        self._begun: Kept[Markup] = Kept()
        loaders: list[BaseLoader] = [FileSystemLoader(FOLDER)]
        if plugin_folders:
            loaders.append(PrefixLoader({f"plugin-{name}": FileSystemLoader(folder) for name, folder in plugin_folders.items()}))
        self._plugin_folders = dict(plugin_folders or {})
        self.environment = Environment(
            loader=ChoiceLoader(loaders),
            autoescape=True,
            auto_reload=False,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        install: Callable[..., None] = self.environment.install_gettext_callables  # type: ignore[attr-defined]
        install(translations.gettext, translations.ngettext, newstyle=True, pgettext=translations.pgettext, npgettext=translations.npgettext)
        self.environment.globals.update(
            icon=self.icon,
            asset=assets.url,
            face=self.face,
            drawn=self.drawn,
            holes=_EMPTY_BLOCKS,
            filled={},
            clean_html=clean_html,
            locales=translations.LOCALES,
            locale=translations.current,
        )
        self.environment.filters.update(label=label, short_count=formats.count, file_size=formats.size, initial=formats.initial, is_name=formats.is_name)

    def render(self, name: str, /, **data: Any) -> str:
        """A template with its data, in the language of the running request."""
        return self.environment.get_template(name).render(data)

    def icon(self, name: str, size: str = "") -> Markup:
        """An icon of the sprite; a plain dot for a name it does not have."""
        found = self._drawn.get((name, size))
        if found is None:
            shown = name if name in self._icons else f"number-{name}" if f"number-{name}" in self._icons else _FALLBACK_ICON
            css = f"icon {size}".rstrip() if _ICON_NAME.match(size or "icon") else "icon"
            found = Markup('<svg class="{}" aria-hidden="true"><use href="{}#{}"></use></svg>').format(css, self.assets.url("icons.svg"), shown)
            self._drawn[name, size] = found
        return found

    def drawn(self, f: BoundField) -> Markup:
        """A field of a form with its label and hint. An empty one is the same for everybody who is shown it and is drawn once."""
        if f.errors or f.text or f.value not in ("", None):
            return self._field(f)
        return self._keep((f, translations.current()), lambda: self._field(f))

    def begun(self, key: Hashable, bind: Callable[[], BoundField | None]) -> Markup:
        """A field that begins with a value, drawn once for what tells everything on it; nothing where it is not shown."""

        def draw() -> Markup:
            bound = bind()
            return Markup() if bound is None else self._field(bound)

        return self._begun.of(key, draw)

    def _field(self, f: BoundField) -> Markup:
        found: Markup = self.environment.get_template("_field.html").module.field(f)  # type: ignore[attr-defined]
        return found

    def page(self, name: str, page: PageView, data: Mapping[str, Any]) -> str:
        """A whole page: its own blocks, put into the shell of these menus. Pages without menus are drawn as they are."""
        if page.frame is None or page.flash:
            return self.render(name, page=page, **data)
        return self._shell(page, self._blocks(name, page, data), page.values())

    def kept_page(self, name: str, page: PageView, key: Hashable, values: Mapping[str, str], draw: Callable[[], Mapping[str, Any]]) -> str:
        """As ``page``, for one of which ``key`` and the menus tell all but ``values`` (HTML by name of hole): drawn once, then filled.

        ``draw`` gives the data for the template, with ``moulds.hole(NAME)`` where a value belongs.
        """
        if page.frame is None or page.flash:
            return self.render(name, page=page, **{**draw(), **{hole: Markup(text) for hole, text in values.items()}})
        kept = self._moulds.of((name, page.frame, key), lambda: self._blocks(name, page.hollow(), draw()))
        around = page.values()
        filled = {**values, **around}
        return self._shell(page, {block: mould.fill(filled) for block, mould in kept.items()}, around)

    def _blocks(self, name: str, page: PageView, data: Mapping[str, Any]) -> dict[str, str]:
        """What a page puts into the shell, by block."""
        template = self.environment.get_template(name)
        context = template.new_context({"page": page, **data})
        next(template.root_render_func(context), None)  # what the template sets and imports outside its blocks
        return {**_EMPTY_BLOCKS, **{block: "".join(draw(context)) for block, draw in template.blocks.items()}}

    def _shell(self, page: PageView, blocks: Mapping[str, str], around: Mapping[str, str]) -> str:
        def draw() -> dict[str, str]:
            return {"": self.environment.get_template("base.html").render(page=page.hollow(), holes=_BLOCK_HOLES)}

        kept = self._moulds.of(("shell", page.frame, page.here, bool(page.strip)), draw)
        return kept[""].fill({**blocks, **around})

    def list_more(self, more: str, shown: int, columns: int) -> str:
        """The last row of a table, which leads to its next page."""
        holes = {"more": hole("more"), "shown": hole("shown"), "columns": columns}
        kept = self._moulds.of(("more", columns, translations.current()), lambda: {"": self.render("_list_more.html", **holes)})
        return kept[""].fill({"more": escape(more), "shown": str(shown)})

    def list_foot(self, count: int | None, capped: bool, more: bool, here: str) -> Markup:
        """What stands below the records of a list: how many there are, and that there are more."""
        key = ("foot", count, capped, more, here, translations.current())
        return self._keep(key, lambda: Markup(self.render("_list_foot.html", count=count, capped=capped, more=more, here=here)))

    def bell(self, base: str, count: int) -> Markup:
        """The bell of a workspace's pages with so many unread messages."""
        return self._keep(("bell", base, count, translations.current()), lambda: Markup(self.render("_bell.html", base=base, count=count)))

    def asks(self, base: str, count: int, *, current: bool = False) -> Markup:
        """The way to the approvals of a workspace, of which so many wait."""
        key = ("asks", base, count, current, translations.current())
        return self._keep(key, lambda: Markup(self.render("_asks_link.html", base=base, count=count, current=current)))

    def _keep(self, key: Hashable, draw: Callable[[], Markup]) -> Markup:
        """What was drawn for a view; what is drawn depends on nothing else."""
        try:
            found = self._kept.get(key)
        except TypeError:  # a view that holds a list
            return draw()
        if found is None:
            if len(self._kept) > _KEPT_AT_MOST:
                self._kept.clear()
            found = self._kept[key] = draw()
        return found

    def face(self, widget: str, face: str) -> Callable[..., Markup]:
        """One face (input, cell, detail, filter) of a widget's macro file; that of plain text when the widget has none."""
        if face not in FACES:
            raise KeyError(face)
        macro: Callable[..., Markup] = getattr(self._macros(widget), face)
        return macro

    def _macros(self, widget: str) -> Any:
        for name in (f"fields/{widget}.html", *(f"plugin-{plugin}/fields/{widget}.html" for plugin in self._plugin_folders)):
            try:
                return self.environment.get_template(name).module
            except TemplateNotFound:
                continue
        return self.environment.get_template("fields/text.html").module


def label(value: Label | None, fallback: str = "") -> str:
    """A definition's label in the reader's language."""
    return label_text(value, translations.current(), fallback)


def clean_html(text: str) -> Markup:
    """Rich text once more through the allow-list; the one place where stored HTML becomes markup."""
    return Markup(
        nh3.clean(
            text,
            tags={"p", "br", "b", "strong", "i", "em", "u", "s", "ul", "ol", "li", "blockquote", "a", "h3", "h4"},
            attributes={"a": {"href"}},
            url_schemes={"http", "https", "mailto"},
        )
    )
