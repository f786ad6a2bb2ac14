"""Ledgers: balances by subject, account and person, and entries that bring them to a target, posted once however often it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.api import ActionContext, CreateRecord, Effects, Engine, Entity, Handle, Invalid, Lock, action, option
from plugins.builtin.amounts import MONEY, PARTS, WHO

_LEDGER = option({"type": "string", "format": "entity"}, ("台账", "Ledger"), ("有 ledger 的实体", "An entity with the word ledger"))
_ABOUT = option({"type": "integer", "format": "record"}, ("对象", "About"))
_ACCOUNT = option({"type": "string", "minLength": 1}, ("科目", "Account"))


def _ledger(ctx: ActionContext, name: str) -> Entity:
    """The entity of a ledger. Raises Invalid where it is none."""
    found = ctx.entities.get(name)
    if found is None or not found.ledger:
        raise Invalid("builtin_no_ledger", name=name)
    return found


def _id(record: Any) -> int:
    return record.id if isinstance(record, Handle) else int(record)


def _balances(name: str, params: Mapping[str, Any]) -> Engine:
    return Engine("ledger.balances", {"ledger": name, "about": _id(params["about"]), "account": params["account"]})


@action(
    "ledger.balances",
    title={"zh": "台账余额", "en": "Balances of a ledger"},
    help={"zh": "某对象某科目下每个人的余额", "en": "Everybody's balance of one subject and account"},
    params={"ledger": _LEDGER, "about": _ABOUT, "account": _ACCOUNT},
    required=("ledger", "about", "account"),
    result=option(PARTS, ("谁多少", "who and how much")),
    reads=("{ledger}",),
    does=("engine ledger.balances",),
    examples=({"ledger": "entry", "about": 1, "account": "earned"},),
)
def balances(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """Exact sums, by who; those at zero too, once they have entries."""
    _ledger(ctx, params["ledger"])
    found = yield _balances(params["ledger"], params)
    return list(found)


@action(
    "ledger.reach",
    title={"zh": "记到目标余额", "en": "Bring balances to their targets"},
    help={"zh": "每人补记目标与余额之差；再执行一次不会重复记", "en": "Posts the difference between target and balance for each; done again it posts nothing"},
    params={
        "ledger": _LEDGER,
        "about": _ABOUT,
        "account": _ACCOUNT,
        "targets": option(
            {
                "type": "array",
                "format": "list",
                "maxItems": 1000,
                "items": {
                    "type": "object",
                    "properties": {"who": option(WHO, ("谁", "Who")), "amount": option(MONEY, ("金额", "Amount"))},
                    "required": ["who", "amount"],
                },
            },
            ("目标", "Targets"),
            ("同一人的相加", "Several of one person are added up"),
        ),
        "others": option(
            {
                "type": "string",
                "enum": ["keep", "zero"],
                "default": "keep",
                "x-enum": {"keep": {"zh": "不变", "en": "Keep"}, "zero": {"zh": "归零", "en": "To zero"}},
            },
            ("其余的人", "Others"),
        ),
        "only": option(
            {
                "type": "string",
                "enum": ["up", "both"],
                "default": "both",
                "x-enum": {"up": {"zh": "只增", "en": "Up only"}, "both": {"zh": "可增可减", "en": "Up and down"}},
            },
            ("方向", "Direction"),
        ),
        "values": option({"type": "object", "format": "values", "x-of": "ledger"}, ("其他字段", "Other fields"), ("每条分录都带上", "On every entry")),
    },
    required=("ledger", "about", "account", "targets"),
    result=option(
        {"type": "object", "properties": {"entries": {"type": "array"}, "posted": PARTS, "total": MONEY}, "required": ["entries", "posted", "total"]},
        ("记下的分录、每人差额、合计", "entries posted, each difference, their sum"),
    ),
    reads=("{ledger}",),
    writes=("create {ledger}",),
    does=("engine ledger.balances",),
    examples=({"ledger": "entry", "about": 1, "account": "earned", "targets": [{"who": 1, "amount": 5}, {"who": 1, "amount": 2}], "others": "zero"},),
)
def reach(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """Entries in the order of the targets, then of the others' ids."""
    name, words = params["ledger"], _ledger(ctx, params["ledger"]).ledger
    own = set(params.get("values", {})) & {words[word] for word in ("about", "who", "account", "amount")}
    if own:
        raise Invalid("builtin_ledger_values", fields=", ".join(sorted(own)))
    yield Lock(("ledger", name, _id(params["about"]), params["account"]))
    standing = {row["who"]: row["amount"] for row in (yield _balances(name, params))}
    targets: dict[Any, int] = {}
    for row in params["targets"]:
        targets[row["who"]] = targets.get(row["who"], 0) + row["amount"]
    if params.get("others") == "zero":
        targets |= {who: 0 for who in standing if who not in targets}
    entries, posted = [], []
    for who, target in targets.items():
        missing = target - standing.get(who, 0)
        if not missing or (missing < 0 and params.get("only") == "up"):
            continue
        values = {
            **params.get("values", {}),
            words["about"]: _id(params["about"]),
            words["account"]: params["account"],
            words["who"]: who,
            words["amount"]: missing,
        }
        entries.append((yield CreateRecord(name, values)))
        posted.append({"who": who, "amount": missing})
    return {"entries": entries, "posted": posted, "total": sum(row["amount"] for row in posted)}
