"""Rules, their runs and why they ran, ready for templates: sentences, sums, traces in words. What a reader may not see of a record is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.access import grant_of
from engine.context import Context
from engine.errors import NotFound
from engine.explaining import Coming, Explained
from engine.messages import sentence as told_code
from engine.records import query
from engine.records.query_labels import labels
from engine.rules.book import CompiledRule
from engine.rules.compile import rule_book
from engine.rules.conditions import Part
from engine.rules.labels import Labels
from engine.rules.phrases import span
from engine.rules.reads import settings_of
from engine.rules.sentences import Line, labels_of, lines
from engine.run_log import Run, Sums
from engine.settings_values import Current
from metadata.text import label_text
from renderer import formats
from renderer.bound_setting import setting_text
from renderer.translations import _

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity

COLOURS = {"done": "green", "refused": "amber", "failed": "red", "skipped": "slate"}
SHOWN_RECORDS = 5


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
class RunView:
    """One run in a list."""

    id: int
    rule: str
    title: str
    state: str
    word: str
    colour: str
    at: str
    who: str
    about: str
    href: str
    took: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class StepView:
    """A step of a run: what it is, how it went (a word and a colour) and what it saw or did."""

    text: str
    depth: int
    word: str
    colour: str
    facts: tuple[tuple[str, str], ...] = ()


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


def exact(ctx: Context, at: datetime) -> str:
    """A moment to the second."""
    return f"{at.astimezone(ctx.workspace.timezone):%Y-%m-%d %H:%M:%S}"


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


# --- runs ----------------------------------------------------------------------------------------------------------------------------------


def run_views(ctx: Context, found: Sequence[Run], base: str) -> list[RunView]:
    """Runs of a list; records by the label their reader may see."""
    about: dict[tuple[str, int], str] = {}
    with ctx.reading() as inner:
        for entity in {run.entity for run in found if run.record is not None}:
            ids = {run.record for run in found if run.entity == entity and run.record is not None}
            about |= {(entity, number): text for number, text in labels(inner, entity, ids).items()}
        people = labels(inner, "person", {run.person for run in found if run.person is not None})
    words = state_words()
    return [
        RunView(
            run.id,
            run.rule,
            rule_title(ctx, run.rule),
            run.state,
            words.get(run.state, run.state),
            COLOURS.get(run.state, "slate"),
            moment(ctx, run.at),
            people.get(run.person, "") if run.person is not None else _("System"),
            about.get((run.entity, run.record or 0), ""),
            f"{base}/r/{run.entity}/{run.record}" if (run.entity, run.record or 0) in about else "",
            took(run.micros),
            error_text(ctx, run),
        )
        for run in found
    ]


def error_text(ctx: Context, run: Run) -> str:
    """Why a run was refused or failed."""
    code = str(run.error.get("code", ""))
    return told_code(code, run.error.get("params") or {}, ctx.locale) if code else ""


def may_see(ctx: Context, run: Run) -> bool:
    """Whether a reader may see a run: whoever keeps settings, or whoever may read its record."""
    if ctx.actor.kind == "system" or "settings" in ctx.actor.rights:
        return True
    if run.record is None or run.entity not in ctx.workspace.entities:
        return False
    try:
        query.get(ctx, run.entity, run.record, fields=("id",), lines=False)
    except NotFound:
        return False
    return True


def condition_seen(ctx: Context, run: Run) -> list[tuple[str, str]]:
    """The values a run's condition saw, by their names."""
    names, found = Labels(ctx.workspace.bundle, ctx.locale), []
    for path, value in run.condition.items():
        head, *rest = path.split(".")
        if head == "setting" and rest:
            setting = ctx.workspace.bundle.settings.values.get(rest[0])
            found.append((names.setting(rest[0]), setting_text(ctx.workspace, setting, value, ctx.locale) if setting else str(value)))
            continue
        entity, key = run.entity, head
        if head == "old" and rest:
            key = rest[0]
        elif rest:
            link = ctx.workspace.entities[entity].fields.get(head) if entity in ctx.workspace.entities else None
            entity, key = (link.target if link is not None else ""), rest[0]
        label = " · ".join([names.field(run.entity, head)] * (entity != run.entity) + [names.field(entity, key)])
        found.append((_("former %(field)s", field=label) if head == "old" else label, field_text(ctx, entity, key, value)))
    return found


def field_text(ctx: Context, entity: str, key: str, value: Any) -> str:
    """A value of a field as kept in a trace, as its reader may see it: what is masked or hidden from them anywhere is not told."""
    owner = ctx.workspace.entities.get(entity)
    item = owner.fields.get(key) if owner is not None else None
    if owner is None or item is None:
        return plain_text(ctx, value)
    if key not in grant_of(ctx.workspace, ctx.actor, owner).open or item.encrypted:
        return "•••"
    if value is None:
        return "—"
    if item.target and isinstance(value, int):
        with ctx.reading() as inner:
            return labels(inner, item.target, [value]).get(value, f"#{value}")
    try:
        typed = item.type.json_reader(item.value, ctx.workspace.scope)(value) if item.type.family == "value" else value
    except Exception:
        typed = None
    return item.type.show(typed, item.value, ctx.workspace.scope, ctx.locale) if typed is not None else plain_text(ctx, value)


def plain_text(ctx: Context, value: Any) -> str:
    """A value of a trace of which nothing is known but itself."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, Mapping) and {"entity", "id"} == set(value):
        with ctx.reading() as inner:
            known = labels(inner, str(value["entity"]), [int(value["id"])]) if value["id"] else {}
        return known.get(int(value["id"]), Labels(ctx.workspace.bundle, ctx.locale).entity(str(value["entity"])))
    if isinstance(value, list):
        shown = "、".join(plain_text(ctx, item) for item in value[:SHOWN_RECORDS])
        return f"{shown} …({len(value)})" if len(value) > SHOWN_RECORDS else shown or "—"
    return _("values") if isinstance(value, Mapping) else str(value)


def step_views(ctx: Context, run: Run) -> list[StepView]:
    """The steps of a run with how each went; steps of another version that are there no more by their keys."""
    rule = rule_book(ctx.workspace).rules.get(run.rule)
    found, told = [], set()
    for line in lines(rule, labels_of(ctx.workspace, ctx.locale)) if rule is not None else ():
        if line.part not in ("step", "branch"):
            continue
        told.add(line.path)
        facts = run.steps.get(line.path)
        if line.part == "branch" or facts is None:
            found.append(StepView(line.text, line.depth - 1, "" if line.part == "branch" else _("not reached"), "slate"))
        else:
            found.append(_step(ctx, run, line, facts, rule))
    found += [StepView(path, 0, *_outcome(facts), ()) for path, facts in run.steps.items() if path not in told]
    return found


def _step(ctx: Context, run: Run, line: Line, facts: Mapping[str, Any], rule: CompiledRule | None) -> StepView:
    word, colour = _outcome(facts)
    entity = ""
    if rule is not None:
        body = rule.step(line.path).body
        entity = str(body.get("in") or body.get("create") or (run.entity if body.get("on", "record") == "record" else _of_records(facts)))
    shown: list[tuple[str, str]] = []
    names = Labels(ctx.workspace.bundle, ctx.locale)
    for name, value in (facts.get("values") or {}).items():
        known = entity in ctx.workspace.entities and name in ctx.workspace.entities[entity].fields
        shown.append((names.field(entity, name) if known else names.quoted(name), field_text(ctx, entity, name, value) if known else plain_text(ctx, value)))
    if facts.get("did") == "found":
        shown.append((_("found"), plain_text(ctx, facts.get("found"))))
    if facts.get("record") is not None:
        shown.append((_("record"), plain_text(ctx, facts["record"])))
    if facts.get("row") is not None:
        shown.append((_("row"), str(facts["row"])))
    if facts.get("people"):
        shown.append((_("people"), plain_text(ctx, [{"entity": "person", "id": number} for number in facts["people"]])))
    if facts.get("times"):
        shown.append((_("times"), str(facts["times"])))
    return StepView(line.text, line.depth - 1, word, colour, tuple(shown))


def _of_records(facts: Mapping[str, Any]) -> str:
    records = facts.get("records") or []
    return str(records[0].get("entity", "")) if records and isinstance(records[0], Mapping) else ""


def _outcome(facts: Mapping[str, Any]) -> tuple[str, str]:
    """How a step went."""
    did, why = str(facts.get("did", "")), str(facts.get("why", ""))
    words = {
        "set": _("written"),
        "created": _("created"),
        "deleted": _("deleted"),
        "found": _("looked up"),
        "let": _("noted"),
        "decided": _("decided"),
        "locked": _("waited its turn"),
        "notified": _("told"),
        "asked": _("asked"),
        "done": _("done"),
        "refused": _("refused"),
        "confirmed": _("confirmed"),
        "each": _("each in turn"),
        "apart": _("each by itself"),
        "then": _("yes"),
        "else": _("no"),
        "approved": _("approved"),
    }
    if did == "skipped":
        return ({"if": _("skipped: its condition did not hold"), "no_record": _("skipped: no record to write on")}.get(why, _("skipped")), "slate")
    return words.get(did, did), "red" if did == "refused" else "green" if did in ("set", "created", "deleted", "notified", "done", "asked") else "blue"


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
