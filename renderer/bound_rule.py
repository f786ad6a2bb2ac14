"""Rules and why they do or do not run, ready for templates: sentences, sums, parameters, conditions part by part. Runs are bound_run.py's business."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from engine.context import Context
from engine.explaining import Coming, Explained
from engine.rules.book import CompiledRule
from engine.rules.conditions import Part
from engine.rules.labels import Labels
from engine.rules.phrases import span
from engine.rules.reads import settings_of
from engine.rules.sentences import Line, labels_of, lines
from engine.run_log import Sums
from engine.settings_values import Current
from metadata.text import label_text
from renderer import formats
from renderer.bound_setting import setting_text
from renderer.translations import _

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity


@dataclass(frozen=True, slots=True)
class SettingUsed:
    """A parameter a rule reads."""

    key: str
    title: str
    value: str


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule on the page of rules."""

    key: str
    title: str
    when: str
    condition: str
    steps: tuple[Line, ...]
    on: bool
    off_why: str
    sums: tuple[tuple[str, str, int], ...]  # (state, its word, how many)
    last: str
    average: str
    settings: tuple[SettingUsed, ...]


@dataclass(frozen=True, slots=True)
class PartView:
    """A part of a condition, and whether it holds: yes, no, open."""

    text: str
    holds: str
    seen: tuple[tuple[str, str], ...]
    first: bool = False


def state_words() -> dict[str, str]:
    """How runs end."""
    return {"done": _("Done"), "refused": _("Refused"), "failed": _("Failed"), "skipped": _("Skipped")}


def took(micros: int) -> str:
    """A duration people can compare: 0.3 ms, 12 ms, 1.4 s."""
    if micros < 1_000_000:
        return f"{micros / 1000:.1f} ms" if micros < 10_000 else f"{micros // 1000} ms"
    return f"{micros / 1_000_000:.1f} s"


def moment(ctx: Context, at: datetime) -> str:
    """A moment in a list."""
    return formats.short_instant(at, ctx.workspace.timezone, ctx.now.astimezone(ctx.workspace.timezone).date())


# --- rules ---------------------------------------------------------------------------------------------------------------------------------


def rule_title(ctx: Context, key: str) -> str:
    """What a rule is called; its key when it is gone."""
    definition = ctx.workspace.bundle.rules.get(key)
    return label_text(definition.title if definition else "", ctx.locale, key)


def rule_view(ctx: Context, rule: CompiledRule, sums: Sums, settings: Mapping[str, Current], off_why: Mapping[str, str]) -> RuleView:
    """A rule with what it did."""
    found = lines(rule, labels_of(ctx.workspace, ctx.locale))
    words = state_words()
    return RuleView(
        rule.key,
        rule_title(ctx, rule.key),
        found[0].text,
        found[1].text if len(found) > 1 and found[1].part == "if" else "",
        tuple(line for line in found[1:] if line.part != "if"),
        rule.key not in ctx.workspace.rules_off,
        off_why.get(rule.key, ""),
        tuple((state, words[state], sums.by_state[state]) for state in words if sums.by_state.get(state)),
        moment(ctx, sums.last) if sums.last else "",
        took(sums.micros) if sums.micros else "",
        tuple(
            SettingUsed(
                key,
                label_text(settings[key].setting.title, ctx.locale, key),
                setting_text(ctx.workspace, settings[key].setting, settings[key].value, ctx.locale),
            )
            for key in settings_of(rule)
            if key in settings
        ),
    )


# --- why not -------------------------------------------------------------------------------------------------------------------------------


def part_views(found: Iterable[Part | None]) -> list[PartView]:
    """The leaves of conditions in order; the first that does not hold is marked."""
    views: list[PartView] = []
    marked = False
    for part in found:
        for leaf in part.leaves() if part is not None else ():
            first = leaf.holds is False and not marked and part is not None and part.holds is False
            marked = marked or first
            text = leaf.text or _("a part about what you may not see")
            views.append(
                PartView(text, "open" if leaf.holds is None else "yes" if leaf.holds else "no", tuple((item.label, item.shown) for item in leaf.seen), first)
            )
    return views


def verdict(ctx: Context, found: Explained) -> tuple[str, str]:
    """Whether a rule would run now, in words, and a colour."""
    if found.off:
        return _("Switched off"), "slate"
    if found.holds is False:
        return _("Its condition does not hold now"), "amber"
    if found.rule.trigger.kind != "due":
        if found.where is None and found.condition is None:
            return _("Runs whenever that happens"), "green"
        return (_("Its condition holds now"), "green") if found.holds else (_("Only the moment itself will tell"), "slate")
    ahead = [item.at for item in found.coming if item.at > ctx.now]
    if ahead:
        return _("Runs %(time)s unless something changes", time=moment(ctx, min(ahead))), "blue"
    return (
        (_("Due since %(time)s", time=moment(ctx, max(item.at for item in found.coming))), "green")
        if found.coming
        else (_("Nothing is due: no date is set"), "slate")
    )


def coming_text(ctx: Context, item: Coming, entity: CompiledEntity) -> str:
    """What a due rule will do, for the record page."""
    title = rule_title(ctx, item.rule.key)
    if not item.shift:
        return title
    names = Labels(ctx.workspace.bundle, ctx.locale)
    field = label_text(entity.fields[item.field].definition.title, ctx.locale, item.field) if item.field in entity.fields else item.field
    when = span(abs(item.shift), names)
    if item.shift < 0:
        return _("%(title)s (%(span)s before %(field)s)", title=title, span=when, field=field)
    return _("%(title)s (%(span)s after %(field)s)", title=title, span=when, field=field)
