"""The steps of a scenario played in a sandbox: people act through the one writer with their own rights, the clock moves and runs what falls due."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Barrier
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from engine.actors import enter_as, enter_person
from engine.clockwork import advance
from engine.errors import Refusal
from engine.fields.values import link_id
from engine.intake import accept
from engine.messages import told, told_faults
from engine.records import asks_deciding, query, service
from engine.records.record import ANY
from engine.records.reveal import reveal
from engine.records.ruling_press import parameters_of
from engine.rules.compile import rule_book
from engine.rules.effects import Handle
from engine.scenario_expecting import NONE, Named, Names, Unmet, expect, expect_sent
from engine.settings_values import set_value
from engine.system_tables_rules import ask
from metadata.text import Label

if TYPE_CHECKING:
    from engine.context import Context
    from engine.home import Home
    from metadata.scenario_base import Step

__all__ = ["PARTS", "Rehearsal", "Unmet"]

PARTS: Mapping[str, Label] = {"given": {"zh": "给定", "en": "given"}, "when": {"zh": "当", "en": "when"}, "then": {"zh": "则", "en": "then"}}
_VERBS: Mapping[str, tuple[str, str]] = {
    "create": ("新增", "creates"),
    "update": ("修改", "changes"),
    "delete": ("删除", "deletes"),
    "do": ("执行", "does"),
    "clock": ("时钟拨到", "the clock moves to"),
    "setting": ("设置", "sets"),
    "answer": ("决定审批", "decides"),
    "reveal": ("查看", "sees"),
    "intake": ("外部消息", "receives from"),
    "sent": ("应有消息经", "expects a message through"),
    "together": ("同时", "together"),
    "expect": ("应有", "expects"),
}


@dataclass(slots=True)
class Rehearsal:
    """One scenario under way in the sandbox ``workspace``."""

    home: Home
    workspace: str
    document: Mapping[str, Any]
    names: dict[str, Named] = field(default_factory=dict)
    teams: dict[str, Named] = field(default_factory=dict)

    def again(self) -> Rehearsal:
        """The same rehearsal with names of its own from here on."""
        return replace(self, names=dict(self.names), teams=dict(self.teams))

    @property
    def now(self) -> datetime:
        """The sandbox's clock."""
        return self.ctx().now

    def ctx(self, who: str = "") -> Context:
        """A context of somebody of the scenario; of the operator, who may do everything, without a name."""
        return enter_person(self.home, self.workspace, _login(who)) if who else enter_as(self.home, self.workspace, "operator")

    # --- people -----------------------------------------------------------------------------------------------------------------------------

    def people(self) -> None:
        """Make the teams and the people; a lead leads the team of those who name them, and is in it unless a team of theirs is said. Raises Unmet."""
        given: Mapping[str, Mapping[str, Any]] = self.document.get("teams", {})
        leads: dict[str, str] = {team: words["lead"] for team, words in given.items() if "lead" in words}
        for team, words in given.items():
            self._team(team, words)
        for team, words in given.items():
            if "parent" in words:
                self._put("team", self.teams[team], {"parent": self.teams[words["parent"]].id})
        alone = set()
        for name, one in self.document.get("people", {}).items():
            person: Mapping[str, Any] = {"role": one} if isinstance(one, str) else one
            said: Label = {"zh": f"人员 {name}", "en": f"Person {name}"}
            try:
                if not self._person(name, person, leads):
                    alone.add(name)
            except Refusal as refusal:
                raise Unmet("scenario_refused", f"/people/{name}", _refused(said, refusal)) from refusal
        for team, lead in leads.items():
            if lead not in self.names:
                raise Unmet("scenario_no_record", "/people", {"step": {"zh": f"团队 {team}", "en": f"Team {team}"}, "name": lead})
            self._put("team", self.teams[team], {"lead": self.names[lead].id})
            if lead in alone:
                self._put("person", self.names[lead], {"team": self.teams[team].id})
                alone.discard(lead)

    def _put(self, entity: str, record: Named, values: Mapping[str, Any]) -> None:
        service.update(self.ctx(), entity, record.id, values, ANY, json=True)

    def _team(self, name: str, words: Mapping[str, Any]) -> None:
        values = {"name": name, **self._values("team", words.get("values", {}))}
        self.teams[name] = Named("team", service.create(self.ctx(), "team", values, json=True).id)

    def _person(self, name: str, words: Mapping[str, Any], leads: dict[str, str]) -> bool:
        """Make a person; whether they are in a team."""
        lead = words.get("lead", "")
        team = words.get("team", "") or next((team for team, one in leads.items() if one == lead), f"team of {lead}") if lead else words.get("team", "")
        if team and team not in self.teams:
            self._team(team, {})
        if lead:
            leads[team] = lead
        roles = [*([words["role"]] if "role" in words else []), *words.get("roles", ())]
        values = {"name": name, "login": _login(name), "roles": roles, **({"team": self.teams[team].id} if team else {})}
        made = service.create(self.ctx(), "person", {**values, **self._values("person", words.get("values", {}))}, json=True)
        self.names[name] = Named("person", made.id)
        return bool(team)

    # --- steps ------------------------------------------------------------------------------------------------------------------------------

    def play(self, at: Step) -> None:
        """Do what a step says and what falls due at once. Raises Unmet when it does not come out as the scenario says."""
        pointer, said, step = at.pointer, _said(PARTS[at.part], at.number, at.body), at.body
        if "together" in step:
            self._together(pointer, said, step)
        elif "expect" in step:
            return self._expect(pointer, said, step)
        elif "sent" in step:
            return expect_sent(self.ctx(), Names(self.names, self.teams), pointer, said, step)
        else:
            self._act(pointer, said, step)
        return self._settle()

    def _settle(self) -> None:
        """What a worker would do now: later rules, messages, what is due at this very instant."""
        advance(self.home, self.workspace, self.now)

    def _act(self, pointer: str, said: Label, step: Mapping[str, Any]) -> None:
        wanted = step.get("refused", False)
        expected: Label | str = {"zh": "任何代码", "en": "any code"} if wanted is True else wanted
        try:
            self._do(pointer, said, step)
        except Refusal as refusal:
            codes = (refusal.code, *(fault.code for fault in refusal.faults))
            if wanted is False:
                raise Unmet("scenario_refused", pointer, _refused(said, refusal)) from refusal
            if wanted is not True and wanted not in codes:
                found = ", ".join(codes[1:] or codes)
                raise Unmet("scenario_refused_otherwise", pointer, {**_refused(said, refusal), "expected": wanted, "found": found}) from refusal
            return
        if wanted:
            raise Unmet("scenario_not_refused", pointer, {"step": said, "expected": expected})

    def _do(self, pointer: str, said: Label, step: Mapping[str, Any]) -> None:
        """One verb. Raises Refusal as the engine does, Unmet for a name that leads nowhere."""
        ctx, confirmed = self.ctx(step.get("as", "")), step.get("confirm", ())
        if "create" in step:
            made = service.create(ctx, step["create"], self._values(step["create"], step.get("values", {})), confirmed=confirmed, json=True)
            self._name(step, Named(step["create"], made.id))
        elif "update" in step:
            record = self._record(pointer, said, step["update"])
            service.update(ctx, record.entity, record.id, self._values(record.entity, step.get("values", {})), ANY, confirmed=confirmed, json=True)
            self._name(step, record)
        elif "delete" in step:
            record = self._record(pointer, said, step["delete"])
            service.delete(ctx, record.entity, record.id, ANY)
        elif "do" in step:
            self._press(ctx, pointer, said, step)
        elif "setting" in step:
            set_value(ctx, step["setting"], step.get("value"), confirmed=True)
            self.home.look_again(self.workspace)
        elif "answer" in step:
            self._answer(ctx, pointer, said, step)
        elif "reveal" in step:
            path, _, field = step["reveal"].rpartition(".")
            record = self._record(pointer, said, path)
            reveal(ctx, record.entity, record.id, field, str(step.get("with", {}).get("reason", "")))
        elif "intake" in step:
            body = orjson.dumps(step.get("values", {}), option=orjson.OPT_SORT_KEYS)
            accept(enter_as(self.home, self.workspace, "intake"), step["intake"], hashlib.sha256(body).hexdigest(), body, step.get("values", {}))
        else:
            advance(self.home, self.workspace, datetime.fromisoformat(step["clock"]))

    def _press(self, ctx: Context, pointer: str, said: Label, step: Mapping[str, Any]) -> None:
        entity, _, action = step["do"].partition(".")
        record = self._record(pointer, said, step["on"]) if "on" in step else self._last(pointer, said, entity)
        rule = rule_book(ctx.workspace).actions.get(step["do"])
        targets = {name: parameter.target for name, parameter in parameters_of(ctx.workspace, rule).items()} if rule is not None else {}
        params = {name: self._value(targets.get(name, ""), value) for name, value in step.get("with", {}).items()}
        acted = service.act(ctx, record.entity, record.id, action, params, confirmed=step.get("confirm", ()), json=True)
        if isinstance(acted.result, Handle):
            self._name(step, Named(acted.result.entity, acted.result.id))

    def _answer(self, ctx: Context, pointer: str, said: Label, step: Mapping[str, Any]) -> None:
        """Decide the newest approval of that name that waits, ``on`` a record or on any; ``with``: its opinion and fields."""
        select = sa.select(ask.c.id).where(ask.c.name == step["answer"], ask.c.state == "open").order_by(ask.c.id.desc()).limit(1)
        if "on" in step:
            record = self._record(pointer, said, step["on"])
            about = sa.and_(ask.c.about_entity == record.entity, ask.c.about == record.id)
            select = select.where(about | sa.and_(ask.c.entity == record.entity, ask.c.record == record.id))
        with ctx.reading() as reading:
            number = reading.open.execute(select).scalar()
        if number is None:
            raise Unmet("scenario_no_ask", pointer, {"step": said, "name": step["answer"]})
        given = dict(step.get("with", {}))
        decision, opinion = step.get("decision", "approved"), str(given.pop("opinion", ""))
        if decision == "withdrawn":
            asks_deciding.withdraw(ctx, number)
        elif decision == "returned":
            asks_deciding.give_back(ctx, number, opinion)
        else:
            values = {name: Names(self.names, self.teams).anywhere(value) for name, value in given.items()}
            asks_deciding.decide(ctx, number, decision == "approved", opinion=opinion, values=values, json=True)

    def _together(self, pointer: str, said: Label, step: Mapping[str, Any]) -> None:
        """All at the same instant, each in a thread of its own; results are counted by code, ``done`` for what was done."""
        steps: Sequence[Mapping[str, Any]] = step["together"]
        gate = Barrier(len(steps))

        def one(number: int) -> str:
            gate.wait(60)
            try:
                self._do(f"{pointer}/together/{number}", said, steps[number])
            except Refusal as refusal:
                return refusal.faults[0].code if refusal.code == "invalid" and refusal.faults else refusal.code
            return "done"

        with ThreadPoolExecutor(len(steps)) as pool:
            found = Counter(pool.map(one, range(len(steps))))
        wanted = {code: number for code, number in step["expect"].items() if number} if isinstance(step.get("expect"), Mapping) else {"done": len(steps)}
        if found != wanted:
            raise Unmet("scenario_together", pointer, {"step": said, "expected": _counts(wanted), "found": _counts(found)})

    def _expect(self, pointer: str, said: Label, step: Mapping[str, Any]) -> None:
        known = Names(self.names, self.teams)
        found = expect(self.ctx(step.get("as", "")), known, pointer, said, step)
        if found is not None:
            self._name(step, found)
            self.names[NONE + found.entity] = found

    # --- names ------------------------------------------------------------------------------------------------------------------------------

    def _name(self, step: Mapping[str, Any], record: Named) -> None:
        if "name" in step:
            self.names[step["name"]] = record
        self.names[NONE + record.entity] = record

    def _last(self, pointer: str, said: Label, entity: str) -> Named:
        """The record of an entity that a step spoke of last."""
        if NONE + entity not in self.names:
            raise Unmet("scenario_no_record", pointer, {"step": said, "name": entity})
        return self.names[NONE + entity]

    def _record(self, pointer: str, said: Label, path: str) -> Named:
        """The record of a name, or what its link fields lead to: ``order.buyer``."""
        first, *links = path.split(".")
        found = self.names.get(first)
        for link in links:
            field = self.home.workspace(self.workspace).entities[found.entity].fields.get(link) if found is not None else None
            if found is None or field is None or not field.target:
                found = None
                break
            number = link_id(query.get(self.ctx(), found.entity, found.id, (link,)).get(link))
            found = Named(field.target, number) if number is not None else None
        if found is None:
            raise Unmet("scenario_no_record", pointer, {"step": said, "name": path})
        return found

    def _values(self, entity: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as JSON, with ids in place of names in links; child lines likewise."""
        compiled = self.home.workspace(self.workspace).entities.get(entity)
        if compiled is None:
            return dict(values)
        found = {}
        for key, value in values.items():
            if key in compiled.lines and isinstance(value, list):
                found[key] = [self._values(key, row) if isinstance(row, Mapping) else row for row in value]
            else:
                found[key] = self._value(compiled.fields[key].target if key in compiled.fields else "", value)
        return found

    def _value(self, target: str, value: Any) -> Any:
        return Names(self.names, self.teams).put(target, value)


def _login(name: str) -> str:
    """What somebody of a scenario logs in as: their name, made long enough."""
    return name if len(name) > 1 else f"{name}_"


def _refused(said: Label, refusal: Refusal) -> dict[str, object]:
    """A refusal for a sentence, in both languages."""
    reason = {locale: "；".join([told(refusal, locale), *(f"{at} {text}" for at, text in told_faults(refusal, locale))]) for locale in ("zh", "en")}
    return {"step": said, "code": refusal.code, "reason": reason}


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {number}" for code, number in sorted(found.items())) or "0"


def _said(part: Label, number: int, step: Mapping[str, Any]) -> Label:
    """A step in words: part, number, who, what."""
    verb = "together" if "together" in step else next((verb for verb in _VERBS if verb in step), "expect")
    zh, en = _VERBS[verb]
    what = "" if verb == "together" else str(step.get(verb, ""))
    more = "".join(f" {step[word]}" for word in ("on", "where") if isinstance(step.get(word), str))
    who = step.get("as", "")
    assert isinstance(part, Mapping)
    return {
        "zh": f"{part['zh']}第 {number + 1} 步 {who} {zh} {what}{more}".replace("  ", " "),
        "en": f"{part['en']} {number + 1}, {who} {en} {what}{more}".replace("  ", " "),
    }
