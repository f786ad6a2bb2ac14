"""Replays of rules ready for templates: the settings that may be asked about, sums, findings and one finding with what it saw. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from engine import settings_values
from engine.context import Context
from engine.messages import sentence
from engine.records.query_labels import labels
from engine.replay import VERDICTS, Finding
from engine.replay_kept import Counted, Kept
from engine.rules.book import CompiledRule
from engine.rules.reads import settings_of
from engine.run_log import Run
from engine.settings_effects import settings_in
from engine.settings_values import Current
from metadata.text import label_text
from renderer.bound_rule import moment
from renderer.bound_run import condition_seen, exact, step_views
from renderer.bound_setting import Control, control, setting_text, surroundings, typed_value, untouched
from renderer.translations import _

COLOURS = {"both": "green", "would": "blue", "did": "amber"}
#: What stands between a setting's key and the names of its controls.
MARK = "~"


@dataclass(frozen=True, slots=True)
class SettingAsked:
    """A setting the rule's verdict may depend on, with the controls for another value."""

    key: str
    title: str
    value: str
    control: Control


@dataclass(frozen=True, slots=True)
class Sum:
    """Findings of one owner or day. ``parts``: verdict, how many, its colour."""

    key: str
    title: str
    total: int
    parts: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding in a list."""

    number: int
    title: str
    href: str
    at: str
    moved: str
    why: str
    word: str
    colour: str
    owner: str
    doubted: bool
    note: str


def verdict_words() -> dict[str, str]:
    """What a finding says."""
    return {"both": _("would and did"), "would": _("would and did not"), "did": _("did and would not")}


def why_words() -> dict[str, str]:
    """What sets a rule off."""
    return {
        "create": _("made"),
        "update": _("changed"),
        "delete": _("deleted"),
        "stage": _("stage changed"),
        "later": _("changed"),
        "due": _("fell due"),
        "tick": _("by schedule"),
        "cron": _("by schedule"),
        "press": _("pressed"),
        "action": _("pressed"),
        "message": _("message came"),
        "before": _("saved"),
        "after": _("saved"),
    }


def doubt_words() -> dict[str, str]:
    """Why a finding is approximate."""
    return {
        "searched": _("a step looks for other records: those of today were looked at"),
        "me": _("it asks who acted: their team and roles are today's"),
        "people": _("it asks for people of a role: those of today were looked at"),
        "param": _("it asks for what was filled in when the button was pressed, which is not kept"),
        "lines": _("it asks for the lines saved together, which are not rebuilt"),
        "set_before": _("other rules changed the record before it was saved; what it was meanwhile is only partly known"),
        "same_moment": _("several rules wrote at the same moment; their order is only partly known"),
        "time": _("it depends on the time of day: it was asked at the beginning of each day"),
        "rollups": _("sums over other records are as they were with the settings of then"),
        "erased": _("values were erased since and are not known"),
    }


def reason_words() -> dict[str, str]:
    """Why a rule did not run."""
    return {
        "absent": _("the rule was not published yet"),
        "off": _("the rule was switched off"),
        "refused": _("its run was refused"),
        "failed": _("its run failed"),
    }


def state_words() -> dict[str, str]:
    """How a replay stands."""
    return {"waiting": _("Waiting"), "running": _("Running"), "done": _("Done"), "cancelled": _("Stopped"), "failed": _("Failed")}


# --- asking --------------------------------------------------------------------------------------------------------------------------------


def settings_asked(ctx: Context, rule: CompiledRule, base: str) -> list[SettingAsked]:
    """The settings that the rule reads, or a formula of its record, as far as they are not changed in the definitions only."""
    entity = ctx.workspace.entities.get(rule.entity)
    formulas = [item.formula for item in entity.fields.values() if item.formula is not None] if entity is not None else []
    keys = dict.fromkeys([*settings_of(rule), *(key for formula in formulas for key in sorted(settings_in(formula)))])
    current = {item.setting.key: item for item in settings_values.current(ctx)}
    return [asked for key in keys if key in current and (asked := _setting(ctx, current[key], base)).control.kind != "none"]


def _setting(ctx: Context, item: Current, base: str) -> SettingAsked:
    setting = item.setting
    drawn = control(ctx.workspace, setting, item.value, surroundings(ctx.workspace, ctx.locale, base, f"s-{setting.key}"))
    title = label_text(setting.title, ctx.locale, setting.key)
    return SettingAsked(setting.key, title, setting_text(ctx.workspace, setting, item.value, ctx.locale), drawn.named(f"{setting.key}{MARK}"))


def settings_given(ctx: Context, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The settings whose value in a posted form is another than the one in force, as JSON. Raises Invalid."""
    found = {}
    for item in settings_values.current(ctx):
        start = f"{item.setting.key}{MARK}"
        own = {name.removeprefix(start): value for name, value in raw.items() if name.startswith(start)}
        if own:
            value = settings_values.read_value(ctx.workspace, item.setting.key, typed_value(item.setting, own), form=True)
            if value != _as_read(ctx, item):
                found[item.setting.key] = value
    return found


def _as_read(ctx: Context, item: Current) -> Any:
    """The value in force, as its own controls give it back untouched: the same hours may be written in several ways."""
    if item.setting.type not in ("calendar", "table"):
        return item.value
    return settings_values.read_value(ctx.workspace, item.setting.key, untouched(ctx.workspace, item.setting, item.value), form=True)


def changed_settings(ctx: Context, kept: Kept) -> list[tuple[str, str]]:
    """The settings a replay was asked with, and their values in words."""
    known = ctx.workspace.bundle.settings.values
    return [
        (label_text(known[key].title, ctx.locale, key), setting_text(ctx.workspace, known[key], value, ctx.locale))
        for key, value in kept.settings.items()
        if key in known
    ]


# --- found ---------------------------------------------------------------------------------------------------------------------------------


def owner_sums(ctx: Context, found: Sequence[Counted]) -> list[Sum]:
    """Findings by owner, most first."""
    with ctx.reading() as inner:
        names = labels(inner, "person", {one.key for one in found if one.key is not None})
    rows = [_sum(str(one.key or 0), _("Nobody") if one.key is None else names.get(one.key) or f"#{one.key}", one) for one in found]
    return sorted(rows, key=lambda row: (-row.total, row.title))


def day_sums(found: Sequence[Counted]) -> list[Sum]:
    """Findings by day, in order."""
    return [_sum(one.key, _day(one.key), one) for one in sorted(found, key=lambda one: str(one.key))]


def _day(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{day:%m-%d}"


def _sum(key: str, title: str, one: Counted) -> Sum:
    return Sum(key, title, one.total, tuple((verdict, one.counts[verdict], COLOURS[verdict]) for verdict in VERDICTS))


def finding_views(ctx: Context, entity: str, found: Sequence[tuple[int, Finding]], base: str) -> list[FindingView]:
    """Findings of a page; records and people by the label their reader may see."""
    with ctx.reading() as inner:
        about = labels(inner, entity, {one.record for _n, one in found if one.record is not None}) if entity else {}
        people = labels(inner, "person", {one.owner for _n, one in found if one.owner is not None})
    words, whys = verdict_words(), why_words()
    return [
        FindingView(
            number,
            about.get(one.record or 0, "") or (_("a record you may not see") if one.record else _("no record")),
            f"{base}/r/{entity}/{one.record}" if one.record in about else "",
            moment(ctx, one.at),
            moment(ctx, one.did_at) if one.did_at is not None and one.verdict == "both" and abs((one.did_at - one.at).total_seconds()) > 60 else "",
            whys.get(one.why, one.why),
            words[one.verdict],
            COLOURS[one.verdict],
            people.get(one.owner, "") if one.owner is not None else "",
            bool(one.doubts),
            note(ctx, one),
        )
        for number, one in found
    ]


def note(ctx: Context, one: Finding) -> str:
    """What is to be said about a finding: it would have stopped the save, or why it did not run."""
    if one.refusal:
        return _("would have refused: %(code)s", code=one.refusal)
    return reason_words().get(one.reason, "")


def finding_facts(ctx: Context, kept: Kept, rule: CompiledRule, one: Finding) -> dict[str, Any]:
    """One finding whole: the values it saw, its steps, its doubts. Values are told as far as their reader may see them."""
    run = Run(
        one.run or 0, rule.key, kept.version, 0, rule.trigger.kind, rule.entity, one.record, one.at, one.person, (rule.key,), "done", one.condition, one.steps
    )
    doubts = doubt_words()
    return {
        "seen": condition_seen(ctx, run),
        "steps": step_views(ctx, run, rule) if one.steps else [],
        "doubts": [doubts.get(word, word) for word in one.doubts],
        "at": exact(ctx, one.at),
        "did_at": exact(ctx, one.did_at) if one.did_at is not None else "",
        "refusal": sentence(one.refusal, {}, ctx.locale) if one.refusal else "",
    }
