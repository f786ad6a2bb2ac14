"""Rules as pages: each with its sentence, switch, parameters and sums; the log with its filters, one run whole, what was given up on; why on a record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from starlette.responses import Response

from engine import jobs, run_log, settings_values
from engine.context import Context
from engine.errors import NotFound
from engine.explaining import explain_all
from engine.records import query
from engine.records.query_labels import labels
from engine.rule_jobs import JOB, switch
from engine.rules.compile import decision_of, rule_book
from engine.rules.sentences import decision_lines, labels_of, lines
from engine.run_log import Run, Sums, Wanted
from engine.system_tables_rules import rule_switch
from metadata.text import label_text
from renderer.bound_rule import moment, part_views, rule_title, rule_view, state_words, verdict
from renderer.bound_run import condition_seen, error_text, exact, may_see, run_views, step_views
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.seeking import has_words, sought
from renderer.translations import _

routes = Routes()
SETTINGS = Permission("member", right="settings")
COUNTED_DAYS = 30


# --- rules ---------------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/rules", SETTINGS)
def rules(visit: Visit) -> Response:
    """All rules by what they are about (of one entity, or those that have the words sought, when asked), and the decision tables."""
    ctx, wanted, q = visit.ctx, visit.request.query_params.get("entity", ""), sought(visit.request)
    book, sums = rule_book(ctx.workspace), run_log.sums(ctx, ctx.now - timedelta(days=COUNTED_DAYS))
    current = {item.setting.key: item for item in settings_values.current(ctx)}
    off, names = _off(ctx), labels_of(ctx.workspace, visit.locale)
    groups: dict[str, list[Any]] = {}
    for key, rule in sorted(book.rules.items(), key=lambda pair: rule_title(ctx, pair[0])):
        if wanted and rule.entity != wanted:
            continue
        view = rule_view(ctx, rule, sums.get(key, Sums()), current, off)
        about = names.entity(rule.entity) if rule.entity else ""
        if has_words(q, key, view.title, about, view.when, view.condition, *(used.title for used in view.settings)):
            groups.setdefault(rule.entity, []).append(view)
    titled = sorted(
        ((names.entity(entity) if entity else _("Without a record"), entity, found) for entity, found in groups.items()), key=lambda row: (not row[1], row[0])
    )
    tables = [
        (title, decision_lines(decision_of(ctx.workspace, key), names))
        for key, item in ({} if wanted else ctx.workspace.bundle.decisions).items()
        if has_words(q, key, title := label_text(item.title, visit.locale, key))
    ]
    dead = len(jobs.given_up(ctx.workspace.database, ctx.workspace.name, name=JOB))
    return visit.page(
        "rules.html",
        q=q,
        groups=titled,
        tables=tables,
        dead=dead,
        days=COUNTED_DAYS,
        entity=wanted,
        about=names.entity(wanted) if wanted in ctx.workspace.entities else "",
    )


def _off(ctx: Context) -> dict[str, str]:
    """Why rules are off."""
    columns = rule_switch.c
    with ctx.reading() as ctx:
        rows = ctx.open.execute(sa.select(columns.rule, columns.off_at, columns.by, columns.reason, columns.failures).where(columns.off_at.is_not(None))).all()
        people = labels(ctx, "person", {row.by for row in rows if row.by})
    return {
        row.rule: _("Switched off by itself %(time)s after failing again and again", time=moment(ctx, row.off_at))
        if row.by is None
        else _("Switched off %(time)s by %(who)s", time=moment(ctx, row.off_at), who=people.get(row.by) or _("System"))
        for row in rows
    }


@routes.post("/w/{ws}/rules/{key}/switch", SETTINGS)
def turn(visit: Visit) -> Response:
    """Switch a rule on or off."""
    ctx, key = visit.ctx, str(visit.path["key"])
    if key not in rule_book(ctx.workspace).rules:
        raise NotFound("unknown_rule", rule=key[:60])
    on = visit.text("on") == "1"
    switch(ctx, key, on=on)
    words = {"name": rule_title(ctx, key)}
    return visit.redirect(f"{visit.base}/rules", toast=_("%(name)s is on", **words) if on else _("%(name)s is off", **words))


# --- the log -------------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/runs", SETTINGS)
def log(visit: Visit) -> Response:
    """The log of runs, filtered."""
    ctx, asked = visit.ctx, visit.request.query_params
    given = {name: str(asked.get(name, ""))[:60] for name in ("rule", "state", "entity", "record", "person", "since", "until")}
    before = str(asked.get("before", ""))
    found, following = run_log.runs(ctx, _wanted(ctx, given), int(before) if before.isdigit() and len(before) < 19 else 0)
    titles = {key: rule_title(ctx, key) for key in sorted(ctx.workspace.bundle.rules)}
    kept = {name: value for name, value in given.items() if value}
    with ctx.reading() as inner:
        people = query.page(inner, query.Query("person", sort=("name",), fields=("name",), limit=200)).items
    return visit.page(
        "runs.html",
        rows=run_views(ctx, found, visit.base),
        given=given,
        titles=titles,
        states=state_words(),
        people=[(person.id, str(person.get("name") or person.id)) for person in people],
        following=f"?{urlencode({**kept, 'before': following})}" if following else "",
        filtered=bool(kept),
        about=_about(ctx, given),
    )


def _wanted(ctx: Context, given: dict[str, str]) -> Wanted:
    def number(name: str) -> int | None:
        return int(given[name]) if given[name].isdigit() and len(given[name]) < 19 else None

    def day(name: str, more: int) -> datetime | None:
        try:
            return (
                (datetime.fromisoformat(given[name][:10]) + timedelta(days=more)).replace(tzinfo=ctx.workspace.timezone).astimezone(UTC)
                if given[name]
                else None
            )
        except (ValueError, OverflowError):
            return None

    return Wanted(given["rule"], given["state"], given["entity"], number("record"), number("person"), day("since", 0), day("until", 1))


def _about(ctx: Context, given: dict[str, str]) -> str:
    """The record a log is narrowed to."""
    if not (given["entity"] in ctx.workspace.entities and given["record"].isdigit()):
        return ""
    with ctx.reading() as ctx:
        return labels(ctx, given["entity"], [int(given["record"])]).get(int(given["record"]), "")


@routes.get("/w/{ws}/runs/{id}")
def one_run(visit: Visit) -> Response:
    """One run: what its condition saw, each step, what came of it. For whoever keeps settings or may read its record."""
    ctx = visit.ctx
    run = run_log.run_of(ctx, visit.number("id"))
    if not may_see(ctx, run):
        raise NotFound("unknown_run", id=run.id)
    (row,) = run_views(ctx, [run], visit.base)
    rule = rule_book(ctx.workspace).rules.get(run.rule)
    template = "_run.html" if visit.wants_part else "run.html"
    show = visit.part if visit.wants_part else visit.page
    return show(
        template,
        run=row,
        at=exact(ctx, run.at),
        version=run.version,
        newer=run.version != ctx.workspace.version,
        chain=[rule_title(ctx, key) for key in run.cause],
        condition=next((line.text for line in _lines(ctx, run) if line.part == "if"), "") if rule is not None else "",
        seen=condition_seen(ctx, run),
        steps=step_views(ctx, run),
        error=error_text(ctx, run),
        log_href=f"{visit.base}/runs?rule={run.rule}" if "settings" in ctx.actor.rights else "",
    )


def _lines(ctx: Context, run: Run) -> Any:
    from_book = rule_book(ctx.workspace).rules[run.rule]
    return lines(from_book, labels_of(ctx.workspace, ctx.locale))


# --- given up on ---------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/rules-dead", SETTINGS)
def dead(visit: Visit) -> Response:
    """Runs that were tried as often as may be, to be run again."""
    ctx = visit.ctx
    found = jobs.given_up(ctx.workspace.database, ctx.workspace.name, name=JOB)
    with ctx.reading() as inner:
        about = {}
        for job in found:
            rule = rule_book(ctx.workspace).rules.get(str(job.args.get("rule", "")))
            if rule is not None and rule.entity and isinstance(job.args.get("record"), int):
                about[job.id] = labels(inner, rule.entity, [job.args["record"]]).get(job.args["record"], "")
    rows = [
        (
            job.id,
            rule_title(ctx, str(job.args.get("rule", ""))),
            about.get(job.id, ""),
            error_text(ctx, _failed(ctx, job)),
            job.attempts,
            exact(ctx, job.done_at or job.created_at),
        )
        for job in found
    ]
    return visit.page("dead_runs.html", rows=rows)


def _failed(ctx: Context, job: jobs.JobState) -> Run:
    """A job that was given up on as the run it was to be."""
    key, error = str(job.args.get("rule", "")), dict(job.error or {})
    rule, record = rule_book(ctx.workspace).rules.get(key), job.args.get("record")
    entity = rule.entity if rule is not None else ""
    told = {"code": error.get("code", ""), "params": error.get("params", {})}
    return Run(0, key, 0, 0, "", entity, record if isinstance(record, int) else None, job.created_at, None, (), "failed", error=told)


@routes.post("/w/{ws}/rules-dead", SETTINGS)
def again(visit: Visit) -> Response:
    """Run the chosen ones again."""
    ctx = visit.ctx
    chosen = [int(text) for text in visit.texts("job") if text.isdigit() and len(text) < 19]
    if not chosen:
        return visit.redirect(f"{visit.base}/rules-dead", toast=_("Choose what to run again"), kind="error")
    mine = {job.id for job in jobs.given_up(ctx.workspace.database, ctx.workspace.name, name=JOB)}
    with ctx.writing() as inner:
        number = jobs.run_again(inner.open, ctx.workspace.name, *(job for job in chosen if job in mine))
    return visit.redirect(f"{visit.base}/rules-dead", toast=_("%(count)s put back to work", count=number))


# --- on a record ---------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/r/{entity}/{id}/rules")
def of_record(visit: Visit) -> Response:
    """The rules about a record: when each runs, whether it would now and why not, and its last run."""
    ctx, entity, record = visit.ctx, str(visit.path["entity"]), visit.number("id")
    if entity not in ctx.workspace.entities:
        raise NotFound("unknown_entity", entity=entity[:60])
    found = [one for one in explain_all(ctx, entity, record) if one.tells]
    names = labels_of(ctx.workspace, visit.locale)
    last = run_log.last_runs(ctx, entity, record, [explained.rule.key for explained in found])
    rows = []
    for explained in found:
        rule = explained.rule
        said, colour = verdict(ctx, explained)
        run = run_views(ctx, [last[rule.key]], visit.base)[0] if rule.key in last else None
        rows.append((rule.key, rule_title(ctx, rule.key), lines(rule, names)[0].text, said, colour, part_views((explained.where, explained.condition)), run))
    return visit.part(
        "_record_rules.html",
        rows=rows,
        record=record,
        log_href=f"{visit.base}/runs?entity={entity}&record={record}" if "settings" in ctx.actor.rights else "",
        rules_href=f"{visit.base}/rules?entity={entity}",
    )
