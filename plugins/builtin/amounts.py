"""Exact arithmetic over amounts: sharing out and adjustments. Whole numbers throughout: minor units, basis points, parts per million."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.api import ActionContext, Handle, Invalid, Value, action, option

Rows = Sequence[Mapping[str, Any]]

MONEY: Mapping[str, object] = {"type": "integer", "format": "money"}
WHO: Mapping[str, object] = {"type": ["integer", "string"]}
PPM = 1_000_000
BASIS_POINTS = 10_000


def rounded(numerator: int, denominator: int) -> int:
    """A quotient as a whole number, half up, mirrored for negatives. ``denominator`` above 0."""
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return size if numerator >= 0 else -size


def shared(amount: int, weights: Sequence[int]) -> list[int]:
    """Parts of an amount in proportion to weights by the largest remainder, ties in the given order; their sum is the amount, exactly.

    Raises Invalid when there is something to share out and no weight.
    """
    whole = sum(weights)
    if not whole:
        if amount:
            raise Invalid("builtin_no_weight")
        return [0] * len(weights)
    size = abs(amount)
    parts = [size * weight // whole for weight in weights]
    rests = sorted(range(len(weights)), key=lambda place: (-(size * weights[place] % whole), place))
    for place in rests[: size - sum(parts)]:
        parts[place] += 1
    return parts if amount >= 0 else [-part for part in parts]


_SHARES = option(
    {
        "type": "array",
        "format": "list",
        "maxItems": 1000,
        "items": {
            "type": "object",
            "properties": {"who": option(WHO, ("谁", "Who")), "weight": option({"type": "integer", "minimum": 0}, ("权重", "Weight"))},
            "required": ["who", "weight"],
        },
    },
    ("份额", "Shares"),
    ("按先后排列，余数相同时先到先得", "In order: equal remainders go to the earlier one"),
)
_AMOUNTS = option(
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
    ("各笔金额", "Amounts"),
    ("每一笔各按同样的份额分摊；与金额二选一", "Each of them is shared out alike; instead of one amount"),
)
#: Rows of whose an amount is.
PARTS: Mapping[str, object] = option(
    {"type": "array", "items": {"type": "object", "properties": {"who": WHO, "amount": MONEY}, "required": ["who", "amount"]}}, ("谁多少", "who and how much")
)
_SHARED: Mapping[str, object] = option(
    {"type": "array", "items": {"type": "object", "properties": {"who": WHO, "part": WHO, "amount": MONEY}, "required": ["who", "amount"]}},
    ("谁多少", "who and how much"),
)


@action(
    "allocate",
    title={"zh": "按份额分摊", "en": "Allocate by shares"},
    help={"zh": "最大余数法，合计分毫不差；负数与正数对称", "en": "Largest remainder: the sum is exact; a negative amount mirrors the positive one"},
    params={
        "amount": option(MONEY, ("金额", "Amount")),
        "amounts": _AMOUNTS,
        "shares": _SHARES,
        "add_up": option(
            {"type": "boolean", "default": False},
            ("各份相加", "Add up"),
            ("每一笔各自分摊后按人相加：追加一笔，谁的都不会变少", "Parts of several amounts added up per share: one more amount lowers nobody's"),
        ),
    },
    required=("shares",),
    result=_SHARED,
    pure=True,
    examples=(
        {"amount": 100, "shares": [{"who": 1, "weight": 5000}, {"who": 2, "weight": 2500}, {"who": 3, "weight": 2500}]},
        {"amount": 0, "shares": []},
        {"amounts": [{"who": 1, "amount": 333}, {"who": 2, "amount": 1}], "shares": [{"who": "a", "weight": 70}, {"who": "b", "weight": 30}]},
    ),
)
def allocate(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Value:
    """Each share's part; of several amounts each one's parts (``who`` as in the amounts, ``part`` as in the shares), or added up for each share."""
    shares: Rows = params["shares"]
    if ("amount" in params) == ("amounts" in params):
        raise Invalid("builtin_one_amount")
    weights = [share["weight"] for share in shares]
    if "amount" in params or params.get("add_up"):
        amounts = [params["amount"]] if "amount" in params else [row["amount"] for row in params["amounts"]]
        sums = [sum(parts) for parts in zip(*(shared(amount, weights) for amount in amounts), strict=True)] or [0] * len(shares)
        return [{"who": share["who"], "amount": part} for share, part in zip(shares, sums, strict=True)]
    return [
        {"who": row["who"], "part": share["who"], "amount": part}
        for row in params["amounts"]
        for share, part in zip(shares, shared(row["amount"], weights), strict=True)
    ]


# --- adjust ----------------------------------------------------------------------------------------------------------------------------------------

_STEP_MODES = ("percent", "minus_percent", "minus", "minus_per_unit", "round_down")


def _less(mode: str, amount: int, value: int, quantity: int, scale: int) -> int:
    """By how much one step lowers an amount."""
    if mode == "percent":
        return amount - rounded(amount * value, BASIS_POINTS)
    if mode == "minus_percent":
        return rounded(amount * value, BASIS_POINTS)
    if mode == "minus":
        return value
    if mode == "minus_per_unit":
        return rounded(value * quantity, 10**scale)
    return amount % value if value else 0


def _value_of(step: Mapping[str, Any]) -> int | None:
    """What a step takes: its value, else its points or its money; None changes nothing."""
    given = step.get("value")
    return given if given is not None else step.get("points" if step["mode"] in ("percent", "minus_percent") else "money")


@action(
    "adjust",
    title={"zh": "逐步调整金额", "en": "Adjust an amount step by step"},
    help={"zh": "折扣、减免、抹零按顺序计算，不低于零", "en": "Percentages, deductions and rounding down in order; never below zero"},
    params={
        "amount": option({**MONEY, "minimum": 0}, ("金额", "Amount")),
        "steps": option(
            {
                "type": "array",
                "format": "list",
                "maxItems": 100,
                "items": {
                    "type": "object",
                    "properties": {
                        "mode": option({"type": "string", "enum": list(_STEP_MODES)}, ("方式", "Mode")),
                        "value": option({"type": ["integer", "null"], "minimum": 0}, ("数值", "Value"), ("比例为万分之", "Percentages in basis points")),
                        "points": option(
                            {"type": ["integer", "null"], "minimum": 0},
                            ("比例", "Points"),
                            ("没有数值时按比例步骤的万分之几", "Basis points, where there is no value"),
                        ),
                        "money": option(
                            {"type": ["integer", "null"], "format": "money", "minimum": 0},
                            ("金额", "Money"),
                            ("没有数值时按金额步骤的金额", "Of a step by money, where there is no value"),
                        ),
                        "most": option(
                            {"type": ["integer", "null"], "format": "money", "minimum": 0},
                            ("最多减", "At most"),
                            ("这一步最多减多少；空为不限", "The most this step takes off; empty: no limit"),
                        ),
                    },
                    "required": ["mode"],
                },
            },
            ("步骤", "Steps"),
            ("按先后排列", "In order"),
        ),
        "quantity": option({"type": "integer", "minimum": 0, "default": 1}, ("数量", "Quantity"), ("按单位减免时用", "For deductions per unit")),
        "scale": option({"type": "integer", "minimum": 0, "maximum": 9, "default": 0}, ("数量的小数位", "Fraction digits of the quantity")),
    },
    required=("amount", "steps"),
    result=option(
        {"type": "object", "properties": {"amount": MONEY, "rows": {"type": "array", "items": {"type": "object"}}}, "required": ["amount", "rows"]},
        ("金额和每步的影响", "the amount, and rows with each effect"),
    ),
    pure=True,
    examples=(
        {"amount": 328_765_432, "steps": [{"mode": "percent", "value": 9800}, {"mode": "minus", "value": 5_000_000}, {"mode": "round_down", "value": 10_000}]},
        {"amount": 100, "quantity": 8934, "scale": 2, "steps": [{"mode": "minus_per_unit", "value": 100}]},
    ),
)
def adjust(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Value:
    """The amount after all steps; each row is its step with ``effect`` (what it changed) and ``amount`` (what it left)."""
    amount, rows = params["amount"], []
    for step in params["steps"]:
        value, most = _value_of(step), step.get("most")
        less = 0 if value is None else _less(step["mode"], amount, value, params.get("quantity", 1), params.get("scale", 0))
        after = max(0, amount - (less if most is None else min(less, most)))
        rows.append({**step, "effect": after - amount, "amount": after})
        amount = after
    return {"amount": amount, "rows": rows}
