"""The parameters of a workspace: what they are now, changing one from an instant on with what that brings about told beforehand, their history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from engine import settings_values
from engine.context import Context
from engine.errors import Conflict, Fault, Invalid
from engine.messages import sentence, told, told_faults
from engine.modules import switch_module
from engine.records.query_labels import labels
from engine.rules.compile import rule_book
from engine.rules.labels import Labels
from engine.rules.reads import rules_reading
from engine.settings_effects import Consequences, consequences
from engine.settings_values import Change, Current
from metadata.text import label_text
from renderer.bound_field import group_errors
from renderer.bound_setting import Control, control, decisions_reading, fields_reading, setting_text, surroundings, typed_value
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.seeking import has_words, sought
from renderer.translations import _

routes = Routes()
SETTINGS = Permission("member", right="settings")


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One value somebody set, in words."""

    id: int
    value: str
    since: str
    at: str
    who: str
    coming: bool = False


@dataclass(frozen=True, slots=True)
class SettingView:
    """One line of the page. ``state``: since when and by whom; '' for the default. ``readers``: rules and formulas that read it."""

    key: str
    title: str
    help: str
    value: str
    state: str
    coming: tuple[ChangeView, ...]
    readers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModuleView:
    """A part of the application that can be switched off as a whole."""

    key: str
    title: str
    help: str
    on: bool


@routes.get("/w/{ws}/settings", SETTINGS)
def settings(visit: Visit) -> Response:
    """The modules, then all parameters by group; those that have the words sought."""
    ctx = visit.ctx
    q, found = sought(visit.request), settings_values.current(ctx)
    people = _people(ctx, [change for item in found for change in (*item.coming, *([item.change] if item.change else ()))])
    groups: dict[str, list[SettingView]] = {}
    for item in found:
        group, view = label_text(item.setting.body.get("group"), visit.locale), _view(ctx, item, people)
        if has_words(q, group, view.key, view.title, view.help):
            groups.setdefault(group, []).append(view)
    modules = [module for module in _modules(ctx) if has_words(q, module.key, module.title, module.help)]
    return visit.page("settings.html", q=q, modules=modules, groups=sorted(groups.items(), key=lambda pair: (not pair[0], pair[0])))


@routes.post("/w/{ws}/modules/{key}/switch", SETTINGS)
def turn(visit: Visit) -> Response:
    """Switch a module on or off."""
    ctx, key, on = visit.ctx, str(visit.path["key"]), visit.text("on") == "1"
    switch_module(ctx, key, on=on)
    words = {"name": next(item.title for item in _modules(ctx) if item.key == key)}
    return visit.redirect(f"{visit.base}/settings", toast=_("%(name)s is on", **words) if on else _("%(name)s is off", **words))


def _modules(ctx: Context) -> list[ModuleView]:
    preset, off = ctx.workspace.bundle.preset, ctx.workspace.modules_off
    known = preset.modules if preset is not None else {}
    return [
        ModuleView(key, label_text(module.get("title"), ctx.locale, key), label_text(module.get("description"), ctx.locale), key not in off)
        for key, module in known.items()
    ]


def _view(ctx: Context, item: Current, people: dict[int, str]) -> SettingView:
    setting, locale = item.setting, ctx.locale
    since = _("since %(time)s, %(who)s", time=_moment(ctx, item.change.in_force_from), who=_who(item.change, people)) if item.change else ""
    readers = [label_text(rule.title, locale, rule.key) for rule in rules_reading(rule_book(ctx.workspace), setting.key)]
    return SettingView(
        setting.key,
        label_text(setting.title, locale, setting.key),
        label_text(setting.body.get("help") or setting.body.get("description"), locale),
        setting_text(ctx.workspace, setting, item.value, locale),
        since,
        tuple(_change(ctx, item, change, people) for change in item.coming),
        (*readers, *decisions_reading(ctx.workspace, setting.key, locale), *fields_reading(ctx.workspace, setting.key, locale)),
    )


def _change(ctx: Context, item: Current, change: Change, people: dict[int, str]) -> ChangeView:
    text = setting_text(ctx.workspace, item.setting, change.value, ctx.locale)
    return ChangeView(change.id, text, _moment(ctx, change.in_force_from), _moment(ctx, change.at), _who(change, people), change.in_force_from > ctx.now)


def _people(ctx: Context, changes: list[Change]) -> dict[int, str]:
    with ctx.reading() as ctx:
        return labels(ctx, "person", {change.by for change in changes if change.by is not None})


def _who(change: Change, people: dict[int, str]) -> str:
    return _("System") if change.by is None else people.get(change.by) or f"#{change.by}"


def _moment(ctx: Context, at: datetime) -> str:
    return f"{at.astimezone(ctx.workspace.timezone):%Y-%m-%d %H:%M}"


# --- one setting ---------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/settings/{key}", SETTINGS)
def edit(visit: Visit) -> Response:
    """The dialog that changes one."""
    item = settings_values.current_of(visit.ctx, str(visit.path["key"]))
    around = surroundings(visit.ctx.workspace, visit.locale, visit.base)
    return _dialog(visit, item, control(visit.ctx.workspace, item.setting, item.value, around))


def _dialog(
    visit: Visit, item: Current, shown: Control, *, status: int = 200, problems: dict[str, tuple[str, ...]] | None = None, asked: str = "", effects: Any = ()
) -> Response:
    ctx, found = visit.ctx, problems or {}
    return visit.part(
        "_setting.html",
        status=status,
        item=_view(ctx, item, _people(ctx, [*item.coming, *([item.change] if item.change else ())])),
        control=shown,
        fault=" ".join(text for at in ("/value", "/value/holidays") if shown.kind != "one" for text in found.get(at, ())),
        since_fault=" ".join(found.get("/in_force_from", ())),
        asked=asked,
        effects=effects,
        since=visit.text("since"),
        soonest=f"{ctx.now.astimezone(ctx.workspace.timezone):%Y-%m-%dT%H:%M}",
    )


@routes.post("/w/{ws}/settings/{key}/effects", SETTINGS)
def effects(visit: Visit) -> Response:
    """What the value now typed would bring about; nothing while it is wrong."""
    ctx, item = visit.ctx, settings_values.current_of(visit.ctx, str(visit.path["key"]))
    try:
        value = settings_values.read_value(ctx.workspace, item.setting.key, typed_value(item.setting, visit.raw()), form=True)
        found = consequences(ctx, item.setting.key, settings_values.typed(ctx.workspace, item.setting.key, value), _since(visit) or ctx.now)
    except Invalid:
        return visit.part("_setting_effects.html", effects=())
    return visit.part("_setting_effects.html", effects=effect_sentences(ctx, found))


def effect_sentences(ctx: Context, found: Consequences) -> list[str]:
    """What a value brings about, a sentence per entity."""
    names = Labels(ctx.workspace.bundle, ctx.locale)
    said = []
    for item in found.touched:
        words = {"entity": names.entity(item.entity), "count": item.changed, "records": item.records, "due": item.due}
        if not item.exact:
            said.append(_("%(entity)s: all %(records)s are computed anew", **words))
        elif item.due:
            said.append(_("%(entity)s: %(count)s of %(records)s change, %(due)s of them fall due at once", **words))
        else:
            said.append(_("%(entity)s: %(count)s of %(records)s change", **words))
    return said or [_("No stored value depends on it.")]


def _since(visit: Visit) -> datetime | None:
    """The instant of the form, in the workspace's zone; None for at once. Raises Invalid."""
    given = visit.text("since")
    if not given:
        return None
    try:
        return datetime.fromisoformat(given).replace(tzinfo=visit.ctx.workspace.timezone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid("invalid", faults=[Fault("/in_force_from", "instant_invalid")]) from None


@routes.post("/w/{ws}/settings/{key}", SETTINGS)
def save(visit: Visit) -> Response:
    """Set the value; with more than a tenth of the records changing, ask once more."""
    ctx, item = visit.ctx, settings_values.current_of(visit.ctx, str(visit.path["key"]))
    raw = visit.raw()
    around = surroundings(ctx.workspace, visit.locale, visit.base)
    try:
        settings_values.set_value(ctx, item.setting.key, typed_value(item.setting, raw), _since(visit), confirmed=bool(visit.text("confirmed")), form=True)
    except Invalid as refusal:
        problems = group_errors(list(told_faults(refusal, visit.locale)))
        return _dialog(visit, item, control(ctx.workspace, item.setting, item.value, around, raw, problems), status=422, problems=problems)
    except Conflict as refusal:
        if refusal.code != "setting_touches_many":
            raise
        shown = control(ctx.workspace, item.setting, item.value, around, raw)
        return _dialog(visit, item, shown, status=409, asked=told(refusal, visit.locale))
    done = _("%(name)s is set", name=label_text(item.setting.title, visit.locale, item.setting.key))
    if visit.wants_part:  # the page stays where it is
        return visit.nothing(toast=done, events={"closeDialog": True, "freshPage": True})
    return visit.redirect(f"{visit.base}/settings", toast=done)


@routes.get("/w/{ws}/settings/{key}/history", SETTINGS)
def history(visit: Visit) -> Response:
    """Every value a setting was given, in a dialog."""
    ctx = visit.ctx
    item = settings_values.current_of(ctx, str(visit.path["key"]))
    changes = settings_values.history(ctx, item.setting.key)
    people = _people(ctx, changes)
    rows = [_change(ctx, item, change, people) for change in changes]
    return visit.part(
        "_setting_history.html",
        item=_view(ctx, item, people),
        rows=rows,
        standard=setting_text(ctx.workspace, item.setting, item.setting.default, visit.locale),
    )


@routes.post("/w/{ws}/settings/{key}/withdraw/{id}", SETTINGS)
def withdraw(visit: Visit) -> Response:
    """Take back a value that has not come into force."""
    settings_values.withdraw(visit.ctx, str(visit.path["key"]), visit.number("id"))
    return visit.redirect(f"{visit.base}/settings", toast=sentence("setting_withdrawn", {}, visit.locale))
