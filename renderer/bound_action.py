"""Buttons of a record and the forms of what people fill in for them: parameters of an action, values an approver gives. Decides nothing."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.access import remember
from engine.errors import Refusal
from engine.explaining import explain_some
from engine.expressions.language import Expression
from engine.fields.base import Value, Wrong, accepted
from engine.fields.values import Link
from engine.messages import told, told_faults
from engine.records.query_labels import labels
from engine.records.ruling_press import Parameter, admitted, buttons, default_of, parameter_fields, short_name
from engine.records.work import Work
from engine.rules.book import CompiledRule
from engine.rules.effects import Handle
from metadata.text import label_text
from renderer.bound_field import MANY, BoundField, Surroundings, bound_field, group_errors, proposed, shown_text
from renderer.form_input import one_each
from renderer.shell import lists_holding

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField


@dataclass(frozen=True, slots=True)
class Press:
    """A button of a record. ``off``: its condition does not hold now; pressing it tells why."""

    name: str
    title: str
    icon: str
    href: str
    off: bool = False


@dataclass(frozen=True, slots=True)
class BoundParameters:
    """The fields of a small form, the refusals that belong to none of them, and the codes to send along to go on against soft ones.

    ``beside``: what is wrong with another input of the form.
    """

    fields: tuple[BoundField, ...]
    errors: tuple[str, ...] = ()
    confirm: str = ""
    beside: tuple[str, ...] = ()


def presses(ctx: Context, entity: CompiledEntity, record: int, base: str, waiting: Container[str] = ()) -> list[Press]:
    """The granted buttons that this record admits: those that can be pressed now, those that lists offer, the others. ``waiting``: rules whose approval is awaited.

    Needs an open connection.
    """
    rules = admitted(ctx, entity, record)
    judged = [rule for rule in rules if isinstance(rule.condition, Expression)]
    closed = {one.rule.key for one in explain_some(ctx, judged, entity.key, record) if one.holds is False} if judged else frozenset()
    found = [
        Press(
            short_name(rule),
            label_text(rule.title, ctx.locale, rule.key),
            icon_of(rule),
            f"{base}/r/{entity.key}/{record}/do/{short_name(rule)}",
            rule.key in closed or rule.key in waiting,
        )
        for rule in rules
    ]
    order = _order(ctx, entity, record)
    return sorted(found, key=lambda press: (press.off, order.get(press.name, len(order))))


def press_leads(ctx: Context, entity: CompiledEntity, record: int, pressed: Sequence[Press], added: str) -> bool:
    """Whether the first button is what a person does next, before making a record of the entity ``added``: by the order of the lists that hold the record; what none names comes
    last, and does not lead where they name others: it is there for the rare case (a payment to be reversed, an order to be cancelled). Needs an open connection."""
    if not pressed or pressed[0].off:
        return False
    order = _order(ctx, entity, record)
    if pressed[0].name not in order and any(not name.endswith(".new") for name in order):
        return False
    return order.get(pressed[0].name, len(order)) <= order.get(f"{added}.new", len(order))


def _order(ctx: Context, entity: CompiledEntity, record: int) -> dict[str, int]:
    """The place of an action by its short name, of a record to make by ``ENTITY.new``: those the lists that hold a record offer first, in the order of the lists."""
    lists = lists_holding(ctx, entity, record)

    def build() -> dict[str, int]:
        words = (word.removeprefix(f"{entity.key}.") for view in lists for word in (*view.actions, *view.buttons))
        return {name: place for place, name in enumerate(dict.fromkeys(words))}

    return remember(ctx.workspace, ("press-order", entity.key, *(view.key for view in lists)), build)


def named(ctx: Context, entity: CompiledEntity, words: tuple[str, ...]) -> list[CompiledRule]:
    """The granted actions of an entity that a list names, by their short or whole names, in the list's order."""
    known = {short_name(rule): rule for rule in buttons(ctx, entity)}
    return [known[name] for word in words if (name := word.removeprefix(f"{entity.key}.")) in known]


def icon_of(rule: CompiledRule) -> str:
    """The icon of an action."""
    return str(rule.body.get("icon") or "bolt")


class ParameterBinder:
    """Binds parameters for one request. ``owner``: how their pickers name them (``ENTITY.ACTION``, ``ask.12``); ``raw``: what was typed.

    ``record``: which one of the entity they are asked about, if it is one. ``live``: the form is asked for anew when a parameter changes that decides about others, so that only those asked for stand on it.
    """

    def __init__(
        self,
        ctx: Context,
        parameters: Mapping[str, Parameter],
        owner: str,
        entity: str,
        base: str,
        *,
        record: int | None = None,
        raw: Mapping[str, Any] | None = None,
        prefix: str = "p",
        live: bool = False,
    ) -> None:
        self.ctx, self.owner, self.base, self.raw, self.live = ctx, owner, base, raw, live
        self.entity, self.record = entity, record
        self.parameters, self.fields, self.deciding = parameters, parameter_fields(parameters), deciding(parameters)
        self.around = Surroundings(ctx.workspace.scope.of(entity), ctx.locale, base, prefix)

    def bind(self, refusal: Refusal | None = None, confirmed: str = "", beside: str | None = None) -> BoundParameters:
        """The bound fields; without ``raw`` filled with their defaults. ``beside``: another input of the form. Needs an open connection."""
        errors = told_of(refusal, self.ctx.locale)
        work = Work(self.ctx)
        values = {key: self._value(work, key) for key in self.fields}
        given = {key: value for key, (value, _typed) in values.items()}
        known = self.parameters
        asked = [key for key in self.fields if not known[key].for_rules and (not self.live or known[key].asked(work.evaluator, given))]
        fields = tuple(self._field(work, key, values[key], given, errors.get(f"/{key}", ())) for key in asked)
        own = {*self.fields, beside} if beside else self.fields.keys()
        loose = tuple(text for pointer, texts in errors.items() if pointer[1:] not in own for text in texts)
        return BoundParameters(fields, loose, confirm_codes(refusal, confirmed), tuple(errors.get(f"/{beside}", ())))

    def _value(self, work: Work, key: str) -> tuple[Value, Any]:
        """The value of a parameter as far as it can be read, and what was typed."""
        if self.raw is not None:
            return self._read(self.fields[key], self.raw.get(key, ""))
        about = Handle(self.entity, self.record, work.row) if self.record is not None else None
        return proposed(default_of(work, self.parameters[key], about)), None

    def _field(self, work: Work, key: str, held: tuple[Value, Any], given: Mapping[str, Value], errors: tuple[str, ...]) -> BoundField:
        item, (value, typed), parent = self.fields[key], held, self.fields[key].definition.options.get("parent")
        source = f"{self.base}/pick/{self.owner}/{key}" if item.target else ""
        if item.type.widget == "region":
            source = f"{self.base}/regions?field={self.owner}.{key}&id={self.around.prefix}"
        return bound_field(
            item,
            self._labelled(item, value),
            self.around,
            raw=typed if errors else None,
            parent=(given.get(parent) or "") if self.live and isinstance(parent, str) and parent in given else None,
            errors=errors,
            source=source,
            required=self.parameters[key].wanted(work.evaluator, given),
            refresh=self.live and key in self.deciding,
        )

    def told(self, key: str, value: Value) -> tuple[str, str]:
        """A given value in words, with what it is called."""
        item = self.fields[key]
        return label_text(item.definition.title, self.ctx.locale, key), shown_text(item, self._labelled(item, value), self.around)

    @staticmethod
    def _read(item: CompiledField, given: Any) -> tuple[Value, Any]:
        assert item.reader is not None
        try:
            return accepted(item.reader, given), given
        except Wrong:
            return None, given

    def _labelled(self, item: CompiledField, value: Value) -> Any:
        if not item.target or value is None:
            return value
        ids = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int)]
        known = labels(self.ctx, item.target, set(ids))
        found = [Link(one, known.get(one)) for one in ids]
        return found if isinstance(value, list) else found[0] if found else None


def deciding(parameters: Mapping[str, Parameter]) -> frozenset[str]:
    """The parameters that say which others are asked for, and what these offer."""
    read = {path[0] for item in parameters.values() for condition in (item.show, item.needed) if condition is not None for path in condition.reads}
    parents = {parent for item in parameters.values() if isinstance(parent := item.field.options.get("parent"), str)}
    return frozenset((read | parents) & parameters.keys())


def typed_of(fields: Mapping[str, CompiledField], raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a posted form says about these fields; a switch posts what it means when off, then what it means when on."""
    found = {name: value for name, value in raw.items() if name in fields}
    return one_each(found, lambda line, name: fields[name].type.widget not in MANY)


def told_of(refusal: Refusal | None, locale: str) -> dict[str, tuple[str, ...]]:
    """The sentences of a refusal by pointer; one without faults stands at the head."""
    if refusal is None:
        return {}
    return group_errors(list(told_faults(refusal, locale)) or [("", told(refusal, locale))])


def confirm_codes(refusal: Refusal | None, confirmed: str) -> str:
    """What a form sends along so that the person goes on: the codes gone on against before, and those of this refusal; '' when it is final."""
    codes = refusal.soft_codes if refusal is not None else ()
    return ",".join(dict.fromkeys([*filter(None, confirmed.split(",")), *codes])) if codes else ""
