"""Runs of rules ready for templates: lists, and one run with what its condition saw and each step did. What a reader may not see is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.access import grant_of
from engine.context import Context
from engine.errors import NotFound
from engine.fields.base import Wrong, accepted
from engine.fields.values import HIDDEN
from engine.messages import sentence as told_code
from engine.records import query
from engine.records.query_labels import labels
from engine.rules.book import CompiledRule, Step, every_step
from engine.rules.compile import rule_book
from engine.rules.labels import Labels
from engine.rules.sentences import Line, labels_of, lines
from engine.rules.sight import Sight
from engine.run_log import Run
from renderer.bound_rule import moment, rule_title, state_words, took
from renderer.bound_setting import setting_text
from renderer.translations import _

COLOURS = {"done": "green", "refused": "amber", "failed": "red", "skipped": "slate"}
SHOWN_RECORDS = 5


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


def exact(ctx: Context, at: datetime) -> str:
    """A moment to the second."""
    return f"{at.astimezone(ctx.workspace.timezone):%Y-%m-%d %H:%M:%S}"


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
    """Why a run was refused or failed; of a message that tells more than its reader may see, the code alone."""
    code = str(run.error.get("code", ""))
    sight = Sight(ctx)
    for rule in rule_book(ctx.workspace).rules.values() if code else ():
        for step in every_step(rule.steps):
            if step.body.get("refuse") != code or step.message is None:
                continue
            record = run.record if rule.key == run.rule else None
            if not all(sight.knows(rule.entity, record, item) for item in step.message.expressions().values()):
                return code
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
    names, sight, found = Labels(ctx.workspace.bundle, ctx.locale), Sight(ctx), []
    for path, value in run.condition.items():
        head, *rest = path.split(".")
        if head == "setting" and rest:
            setting = ctx.workspace.bundle.settings.values.get(rest[0])
            found.append((names.setting(rest[0]), setting_text(ctx.workspace, setting, value, ctx.locale) if setting else str(value)))
            continue
        entity, record, key = run.entity, run.record, head
        if head == "old" and rest:
            key = rest[0]
        elif rest:
            link = ctx.workspace.entities[entity].fields.get(head) if entity in ctx.workspace.entities else None
            known = link is not None and sight.reads(entity, record, head)
            entity, record, key = (link.target if link is not None else ""), sight.beyond(entity, record, head) if known else None, rest[0]
        label = " · ".join([names.field(run.entity, head)] * (entity != run.entity) + [names.field(entity, key)])
        text = field_text(ctx, entity, key, value) if sight.sees(entity, record) else HIDDEN
        found.append((_("former %(field)s", field=label) if head == "old" else label, text))
    return found


def field_text(ctx: Context, entity: str, key: str, value: Any) -> str:
    """A value of a field of a record they may see, as kept in a trace: what is masked or hidden from them anywhere is not told."""
    owner = ctx.workspace.entities.get(entity)
    item = owner.fields.get(key) if owner is not None else None
    if owner is None or item is None:
        return plain_text(ctx, value)
    if key not in grant_of(ctx.workspace, ctx.actor, owner).open or item.encrypted:
        return HIDDEN
    if value is None:
        return "—"
    if item.target and isinstance(value, int):
        with ctx.reading() as inner:
            return labels(inner, item.target, [value]).get(value, f"#{value}")
    try:
        typed = accepted(item.type.json_reader(item.value, ctx.workspace.scope), value) if item.type.family == "value" else value
    except Wrong:  # an older version wrote it, whose field took other values
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


def step_views(ctx: Context, run: Run, rule: CompiledRule | None = None) -> list[StepView]:
    """The steps of a run (of a rule that is not the published one) with how each went; steps of another version that are there no more by their keys."""
    rule = rule or rule_book(ctx.workspace).rules.get(run.rule)
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
    entity, step = "", rule.step(line.path) if rule is not None else None
    if step is not None:
        body = step.body
        entity = str(body.get("in") or body.get("create") or (run.entity if body.get("on", "record") == "record" else _of_records(facts)))
    shown: list[tuple[str, str]] = []
    names, sight = Labels(ctx.workspace.bundle, ctx.locale), Sight(ctx)
    written = all(sight.sees(str(one["entity"]), int(one["id"])) for one in facts.get("records") or () if isinstance(one, Mapping))
    for name, value in (facts.get("values") or {}).items():
        if entity in ctx.workspace.entities and name in ctx.workspace.entities[entity].fields:
            shown.append((names.field(entity, name), field_text(ctx, entity, name, value) if written else HIDDEN))
        else:
            shown.append((names.quoted(name), plain_text(ctx, value) if _let_open(sight, run, step, name) else HIDDEN))
    if facts.get("did") == "found":
        shown.append((_("found"), plain_text(ctx, facts.get("found")) if _found_open(sight, step) else HIDDEN))
    if facts.get("record") is not None:
        shown.append((_("record"), plain_text(ctx, facts["record"])))
    if facts.get("row") is not None:
        shown.append((_("row"), str(facts["row"])))
    if facts.get("people"):
        shown.append((_("people"), plain_text(ctx, [{"entity": "person", "id": number} for number in facts["people"]])))
    if facts.get("times"):
        shown.append((_("times"), str(facts["times"])))
    return StepView(line.text, line.depth - 1, word, colour, tuple(shown))


def _let_open(sight: Sight, run: Run, step: Step | None, name: str) -> bool:
    """Whether the value of a name may be told: the step is there still, and what it is made of may be seen."""
    return step is not None and f"let/{name}" in step.terms and sight.knows(run.entity, run.record, step.terms[f"let/{name}"])


def _found_open(sight: Sight, step: Step | None) -> bool:
    """Whether what a find gave may be told: records by their labels, a number when what it counts or adds up may be seen in every record."""
    if step is None or step.verb != "find":
        return False
    entity = str(step.body["find"])
    owner = sight.ctx.workspace.entities.get(entity)
    if owner is None or not grant_of(sight.ctx.workspace, sight.ctx.actor, owner).allowed("read"):
        return False
    if step.body.get("take", "one") in ("one", 1):
        return True
    terms = [term for place, term in step.terms.items() if place.partition("/")[0] in ("where", "take", "show")]
    return sight.sees(entity, None) and all(sight.knows(entity, None, term) for term in terms)


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
