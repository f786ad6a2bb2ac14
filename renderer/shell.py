"""What surrounds every page: menus of the person's roles, the person, the strip of a demo or sandbox, the phone's tab bar. Bound here, drawn by base.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from markupsafe import escape

from engine.access import grant_of, remember
from engine.context import Context
from engine.expressions.language import Expression
from engine.expressions.nodes import Hop, walk
from engine.fields.durations import parse_duration
from engine.records.asks import what_waits
from engine.records.looking import looking
from engine.records.ruling_press import approves_or_asks
from engine.workspace import CompiledEntity, Workspace
from metadata.definitions import ListView
from metadata.text import label_text
from renderer.form_layout import own_title
from renderer.formats import initial
from renderer.moulds import hole
from renderer.translations import _

if TYPE_CHECKING:
    from renderer.requests import Visit

PHONE_TABS = 3
#: More menus than this are folded by their groups.
MENUS_AT_ONCE = 18
#: No page asks again sooner.
LEAST_SECONDS = 5
#: What differs between the requests of people with the same menus.
_HOLES = {name: hole(name) for name in ("csrf", "path", "person", "initial", "bell", "asks")}


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One line of the side bar. ``prefix``: addresses below it count as this item, too. ``group``: the caption it stands under, "" for none."""

    key: str
    title: str
    icon: str
    href: str
    prefix: str = ""
    entity: str = ""
    group: str = ""

    def current(self, path: str) -> bool:
        """Whether a page at ``path`` belongs to this item."""
        return path == self.href or bool(self.prefix and path.startswith(self.prefix))


@dataclass(frozen=True, slots=True, eq=False)  # made once per version, roles and language: told apart by itself
class Frame:
    """The parts that depend on the workspace's version, the roles and the language only. ``asks``: approvals are their business."""

    brand: str
    caption: str
    menus: tuple[MenuItem, ...]
    settings: tuple[MenuItem, ...]
    tabs: tuple[MenuItem, ...]
    create: tuple[MenuItem, ...]
    home: str
    base: str
    roles: str
    asks: bool = True

    @property
    def groups(self) -> tuple[tuple[str, bool, tuple[MenuItem, ...]], ...]:
        """The menus by caption, with whether a group is folded unless one is in it: where there are more than a window holds."""
        captions = dict.fromkeys(item.group for item in self.menus)
        fold = len(self.menus) > MENUS_AT_ONCE
        return tuple((caption, fold and bool(caption), tuple(item for item in self.menus if item.group == caption)) for caption in captions)

    def here(self, path: str) -> str:
        """The address of the menu a page belongs to; "" for a page of none."""
        if path == f"{self.base}/":
            return path
        found = next((item.href for item in (*self.menus, *self.settings) if item.current(path)), "")
        if found or not path.startswith(f"{self.base}/r/"):
            return found
        entity = path.removeprefix(f"{self.base}/r/").partition("/")[0]
        return next((item.href for item in self.menus if item.entity == entity), "")


@dataclass(frozen=True, slots=True)
class PageView:
    """What base.html shows around a page. ``here``: the address of the menu the page belongs to; ``bell``, ``asks``: the bell and the way to approvals, drawn."""

    locale: str
    csrf: str
    path: str
    base: str = ""
    frame: Frame | None = None
    person: str = ""
    initial: str = ""
    roles: str = ""
    login: str = ""
    strip: str = ""
    flash: dict[str, str] | None = None
    now: Any = None
    here: str = ""
    bell: str = ""
    asks: str = ""

    def hollow(self) -> PageView:
        """The same with holes for what is of this person and this request."""
        return replace(self, flash=None, now=None, login="", strip=hole("strip") if self.strip else "", **_HOLES)

    def values(self) -> dict[str, str]:
        """What fills them."""
        return {**{name: escape(getattr(self, name)) for name in _HOLES}, "strip": escape(self.strip)}


def page_view(visit: Visit) -> PageView:
    """The surroundings of a whole page."""
    path, flash = visit.request.scope["path"], visit.take_flash()
    account = visit.session.account if visit.session else None
    if visit.context is None:
        return PageView(visit.locale, visit.csrf(), path, login=account.login if account else "", person=account.name if account else "", flash=flash)
    ctx = visit.ctx
    shown = frame(ctx, visit.base)
    waiting, unread, concerned = what_waits(ctx)
    return PageView(
        visit.locale,
        visit.csrf(),
        path,
        visit.base,
        shown,
        ctx.actor.name,
        initial(ctx.actor.name),
        shown.roles,
        account.login if account else "",
        strip(ctx),
        flash,
        ctx.now,
        shown.here(path),
        visit.site.pages.bell(visit.base, unread),
        visit.site.pages.asks(visit.base, waiting, current=path.startswith(f"{visit.base}/approvals")) if shown.asks or concerned else "",
    )


def part_view(visit: Visit) -> PageView:
    """What fragments may need of it: language, addresses, a token for plain forms."""
    return PageView(
        visit.locale, visit.csrf(), visit.request.scope["path"], visit.base if visit.context else "", now=visit.context.now if visit.context else None
    )


def strip(ctx: Context) -> str:
    """What a demo or sandbox says of itself on every page."""
    if ctx.workspace.sandbox:
        local = ctx.now.astimezone(ctx.workspace.timezone)
        return _("Rehearsal: the clock stands at %(time)s and moves only when told to; nothing is sent outside.", time=f"{local:%Y-%m-%d %H:%M}")
    if ctx.workspace.demo:
        return _("Demo workspace: all people and records here are made up.")
    return ""


def frame(ctx: Context, base: str) -> Frame:
    """Menus and names for these roles; made once per version, set of roles and language."""
    return remember(ctx.workspace, ("frame", ctx.actor.roles, ctx.locale), lambda: _frame(ctx, base))


def _frame(ctx: Context, base: str) -> Frame:
    workspace, locale = ctx.workspace, ctx.locale
    menus = tuple(_menus(ctx, base))
    settings = tuple(
        item
        for right, item in (
            ("people", MenuItem("people", _("People and roles"), "users-group", f"{base}/people", f"{base}/people")),
            ("import", MenuItem("imports", _("Imports"), "table-import", f"{base}/imports", f"{base}/import")),
            ("settings", MenuItem("rules", _("Rules"), "bolt", f"{base}/rules", f"{base}/ru")),
            ("settings", MenuItem("settings", _("Settings"), "tool", f"{base}/settings", f"{base}/settings")),
            ("settings", MenuItem("outbox", _("Outbox"), "send", f"{base}/outbox", f"{base}/outbox")),
            ("settings", MenuItem("connections", _("Connections"), "api", f"{base}/connections", f"{base}/connections")),
            ("design", MenuItem("design", _("Design"), "forms", f"{base}/design", f"{base}/design")),
            ("publish", MenuItem("publish", _("Publish"), "rocket", f"{base}/publish", f"{base}/publish")),
            ("settings", MenuItem("plugins", _("Plugins"), "puzzle", f"{base}/plugins", f"{base}/plugins")),
        )
        if right in ctx.actor.rights
    )
    listed = dict.fromkeys(item.entity for item in menus if item.entity)  # those of the menus above stand above
    create = tuple(
        MenuItem(key, own_title(ctx, key) or label_text(entity.title, locale, key), entity.definition.icon or "file-text", f"{base}/r/{key}/new")
        for key in listed
        if grant_of(workspace, ctx.actor, entity := workspace.entities[key]).allowed("create")
    )
    title = label_text(workspace.title, locale, workspace.name)
    caption = label_text(workspace.bundle.preset.title, locale) if workspace.bundle.preset else ""
    roles = ("、" if locale == "zh" else ", ").join(label_text(workspace.roles[key].title, locale, key) for key in ctx.actor.roles)
    return Frame(
        title, "" if caption == title else caption, menus, settings, menus[:PHONE_TABS], create, _home(ctx, menus, base), base, roles, approves_or_asks(ctx)
    )


def _menus(ctx: Context, base: str) -> list[MenuItem]:
    preset = ctx.workspace.bundle.preset
    found = []
    for menu in preset.menus if preset else ():
        view = ctx.workspace.bundle.lists.get(str(menu.get("list", ""))) or first_list(ctx, str(menu.get("entity", "")))
        if view is None or not is_meant_for(ctx, menu) or not may_open(ctx, view):
            continue
        found.append(
            MenuItem(
                str(menu["key"]),
                label_text(menu.get("title"), ctx.locale, str(menu["key"])),
                str(menu.get("icon", "point")),
                f"{base}/l/{view.key}",
                entity=view.entity,
                group=label_text(menu.get("group"), ctx.locale),
            )
        )
    if not found and preset is not None and not preset.menus:
        found = [
            MenuItem(view.key, label_text(view.title, ctx.locale, view.key), "list", f"{base}/l/{view.key}", entity=view.entity) for view in open_lists(ctx)
        ]
    groups = list(dict.fromkeys(["", *(item.group for item in found)]))
    return sorted(found, key=lambda item: groups.index(item.group))


def _home(ctx: Context, menus: Sequence[MenuItem], base: str) -> str:
    preset = ctx.workspace.bundle.preset
    homes = preset.homes if preset else {}
    wanted = next((homes[role] for role in ctx.actor.roles if role in homes), homes.get("else", ""))
    return next((item.href for item in menus if item.key == wanted), menus[0].href if menus else f"{base}/")


def may_open(ctx: Context, view: ListView) -> bool:
    """Whether a list is for one of the actor's roles and its entity is readable at all."""
    entity = ctx.workspace.entities.get(view.entity)
    if entity is None or ctx.workspace.is_off(view.body) or (view.audience and not set(view.audience) & set(ctx.actor.roles)):
        return False
    return grant_of(ctx.workspace, ctx.actor, entity).allowed("read")


def open_lists(ctx: Context, entity: str = "") -> tuple[ListView, ...]:
    """The lists the actor may open, those of their menus first, in their order; of one entity when given."""

    def build() -> tuple[ListView, ...]:
        order = _order_of_menus(ctx)
        found = [view for view in ctx.workspace.bundle.lists.values() if (not entity or view.entity == entity) and may_open(ctx, view)]
        return tuple(sorted(found, key=lambda view: order.get(view.key, len(order))))

    return remember(ctx.workspace, ("open lists", ctx.actor.roles, entity), build)


def lists_holding(ctx: Context, entity: CompiledEntity, record: int) -> tuple[ListView, ...]:
    """Those of them that hold a record, as far as it tells by itself; all where none does. Needs an open connection."""
    found, work = open_lists(ctx, entity.key), looking(ctx)
    row = work.row(entity.key, record)
    if row is None:
        return found
    truth = work.truth(entity, row)
    demanding = remember(ctx.workspace, ("own demands", ctx.actor.roles, entity.key), lambda: [(view, _own_demand(ctx, view)) for view in found])
    return tuple(view for view, demand in demanding if demand is None or truth(demand)) or found


def _own_demand(ctx: Context, view: ListView) -> Expression | None:
    """What a list demands of a record by itself; None where that is nothing, or leads over a link."""
    demand = ctx.workspace.expression(view.entity, view.where, "boolean") if view.where else None
    return None if demand is None or any(isinstance(node, Hop) for node in walk(demand.tree)) else demand


def first_list(ctx: Context, entity: str) -> ListView | None:
    """The list that stands for an entity: the first; where that holds only some of its records, a table of the menus that holds all."""
    found, order = open_lists(ctx, entity) if entity else (), _order_of_menus(ctx)
    if not found or holds_all(ctx, found[0]):
        return found[0] if found else None
    return next((view for view in found if view.key in order and view.view == "table" and holds_all(ctx, view)), found[0])


def holds_all(ctx: Context, view: ListView) -> bool:
    """Whether a list keeps no record from its reader, but for those that became another one."""
    into = ctx.workspace.entities[view.entity].definition.body.get("merge", {}).get("into")
    return not view.where or (bool(into) and view.where == f"empty({into})")


def _order_of_menus(ctx: Context) -> Mapping[str, int]:
    """The place of each list of the actor's menus."""

    def build() -> dict[str, int]:
        preset = ctx.workspace.bundle.preset
        meant = [menu for menu in (preset.menus if preset else ()) if is_meant_for(ctx, menu)]
        return {str(menu.get("list", "")): number for number, menu in reversed(list(enumerate(meant)))}

    return remember(ctx.workspace, ("menus", ctx.actor.roles), build)


def is_meant_for(ctx: Context, menu: Mapping[str, Any]) -> bool:
    """Whether a menu is for one of the actor's roles and its module is on."""
    audience = menu.get("for") or ()
    return not ctx.workspace.is_off(menu) and (not audience or bool(set(audience) & set(ctx.actor.roles)))


def pace(view: ListView | None) -> int:
    """Every how many seconds a page of the list, or of one of its records, asks for what changed; 0 for never."""
    return max(LEAST_SECONDS, parse_duration(view.refresh)) if view is not None and view.refresh else 0


def list_title(workspace: Workspace, view: ListView, locale: str) -> str:
    """A list's title, the entity's when it has none."""
    return label_text(view.title, locale) or label_text(workspace.entities[view.entity].title, locale, view.entity)
