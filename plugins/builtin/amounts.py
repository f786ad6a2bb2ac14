"""Exact arithmetic over amounts: sharing out, tiers, adjustments. Whole numbers throughout: minor units, basis points, parts per million."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    params={"amount": option(MONEY, ("金额", "Amount")), "amounts": _AMOUNTS, "shares": _SHARES},
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
    """Each share's part; of several amounts, each one's parts: ``who`` as in the amounts, ``part`` as in the shares."""
    shares: Rows = params["shares"]
    if ("amount" in params) == ("amounts" in params):
        raise Invalid("builtin_one_amount")
    weights = [share["weight"] for share in shares]
    if "amount" in params:
        return [{"who": share["who"], "amount": part} for share, part in zip(shares, shared(params["amount"], weights), strict=True)]
    return [
        {"who": row["who"], "part": share["who"], "amount": part}
        for row in params["amounts"]
        for share, part in zip(shares, shared(row["amount"], weights), strict=True)
    ]


# --- tiers -----------------------------------------------------------------------------------------------------------------------------------------


class Scale:
    """Tiers from the lowest, half-open and without gaps, as one step function. Raises Invalid for tiers with a gap, an overlap or no rate."""

    def __init__(self, tiers: Rows, lowest: int) -> None:
        self.tiers = sorted(tiers, key=lambda tier: int(tier["at_least"]))
        if not self.tiers:
            raise Invalid("builtin_tiers_none")
        if self.tiers[0]["at_least"] > lowest:
            raise Invalid("builtin_tiers_gap", at=lowest)
        for low, high in zip(self.tiers, self.tiers[1:], strict=False):
            end = low.get("below")
            if end is None or end > high["at_least"]:
                raise Invalid("builtin_tiers_overlap", at=high["at_least"])
            if end < high["at_least"]:
                raise Invalid("builtin_tiers_gap", at=end)
        last = self.tiers[-1]
        if last.get("below") is not None:
            raise Invalid("builtin_tiers_gap", at=last["below"])
        for tier in self.tiers:
            if (tier.get("rate_ppm") is None) == (tier.get("fixed") is None):
                raise Invalid("builtin_tier_rate", at=tier["at_least"])

    def of(self, count: int) -> Mapping[str, Any]:
        """The tier a count lies in; a boundary belongs to the higher one."""
        return next((tier for tier in reversed(self.tiers) if tier["at_least"] <= count), self.tiers[0])

    def spans(self, start: int, end: int) -> Iterator[tuple[Mapping[str, Any], int]]:
        """The tiers of the counts from ``start`` up to before ``end``, with how many of them lie in each."""
        for tier in self.tiers:
            low = max(start, tier["at_least"]) if tier is not self.tiers[0] else start
            high = end if tier.get("below") is None else min(end, tier["below"])
            if high > low:
                yield tier, high - low


def _priced(tier: Mapping[str, Any], amount: int, units: int) -> int:
    """What one tier gives for an amount, or for units where the tier has a fixed amount for each."""
    if tier.get("fixed") is not None:
        return int(tier["fixed"]) * units * (-1 if amount < 0 else 1)
    return rounded(amount * int(tier["rate_ppm"]), PPM)


def _forward(scale: Scale, items: Rows, count: str) -> Iterator[int]:
    """Each item at the tier its own count reaches."""
    reached = 0
    for item in items:
        reached += item["amount"] if count == "amount" else _units(item)
        yield _priced(scale.of(reached), item["amount"], _units(item))


def _whole_retro(scale: Scale, items: Rows, count: str) -> Iterator[int]:
    """Every item at the tier all of them reach together."""
    tier = scale.of(sum(item["amount"] if count == "amount" else _units(item) for item in items))
    return (_priced(tier, item["amount"], _units(item)) for item in items)


def _marginal_units(scale: Scale, items: Rows, count: str) -> Iterator[int]:
    """Each unit at the tier of its number; an item over a boundary is divided by units and rounded once."""
    reached = 0
    for item in items:
        units, amount = _units(item), item["amount"]
        rated = fixed = 0
        for tier, many in scale.spans(reached + 1, reached + units + 1):
            if tier.get("fixed") is not None:
                fixed += int(tier["fixed"]) * many
            else:
                rated += amount * many * int(tier["rate_ppm"])
        reached += units
        yield rounded(rated, PPM * units) + (-fixed if amount < 0 else fixed) if units else 0


def _marginal_amount(scale: Scale, items: Rows, count: str) -> Iterator[int]:
    """Each part of the amount at the tier it lies in: the difference of the rounded cumulated values, so that the sum never drifts."""
    if any(tier.get("fixed") is not None for tier in scale.tiers):
        raise Invalid("builtin_tier_fixed")

    def cumulated(amount: int) -> int:
        worth = sum(many * int(tier["rate_ppm"]) for tier, many in scale.spans(0, abs(amount)))
        return rounded(worth if amount >= 0 else -worth, PPM)

    before = 0
    for item in items:
        after = before + item["amount"]
        yield cumulated(after) - cumulated(before)
        before = after


def _units(item: Mapping[str, Any]) -> int:
    units = item.get("units")
    return 1 if units is None else int(units)


_MODES = {"forward": _forward, "marginal_units": _marginal_units, "marginal_amount": _marginal_amount, "whole_retro": _whole_retro}
_ITEMS = option(
    {
        "type": "array",
        "format": "list",
        "maxItems": 10_000,
        "items": {
            "type": "object",
            "properties": {
                "id": option({"type": ["integer", "string"]}, ("编号", "Id")),
                "amount": option(MONEY, ("金额", "Amount")),
                "units": option({"type": ["integer", "null"], "minimum": 0, "default": 1}, ("数量", "Units")),
            },
            "required": ["id", "amount"],
        },
    },
    ("各笔", "Items"),
    ("按先后排列", "In order"),
)
_TIERS = option(
    {
        "type": "array",
        "format": "list",
        "maxItems": 100,
        "items": {
            "type": "object",
            "properties": {
                "at_least": option({"type": "integer", "minimum": 0}, ("达到", "At least")),
                "below": option({"type": ["integer", "null"]}, ("不到", "Below"), ("最高一档留空", "Empty in the highest tier")),
                "rate_ppm": option({"type": ["integer", "null"], "minimum": 0}, ("费率（百万分之）", "Rate in parts per million")),
                "fixed": option({"type": ["integer", "null"], "format": "money"}, ("每单位金额", "Amount per unit")),
            },
            "required": ["at_least"],
        },
    },
    ("档位", "Tiers"),
    ("左闭右开，相接不重叠", "Half-open, each beginning where the one before ends"),
)
_MODE_TITLES = {
    "forward": {"zh": "每笔按自己达到的档", "en": "Each item at the tier it reaches"},
    "marginal_units": {"zh": "按数量分段", "en": "By brackets of units"},
    "marginal_amount": {"zh": "按金额分段", "en": "By brackets of amount"},
    "whole_retro": {"zh": "全部按总数达到的档", "en": "All at the tier they reach together"},
}


@action(
    "tiers",
    title={"zh": "按阶梯计算", "en": "Price by tiers"},
    help={"zh": "档位左闭右开，四舍五入到最小货币单位", "en": "Half-open tiers; half up in minor units"},
    params={
        "items": _ITEMS,
        "tiers": _TIERS,
        "mode": option({"type": "string", "enum": list(_MODES), "x-enum": _MODE_TITLES}, ("方式", "Mode")),
        "count": option({"type": "string", "enum": ["units", "amount"], "default": "units"}, ("档位按", "Tiers count")),
    },
    required=("items", "tiers", "mode"),
    result=option(
        {"type": "array", "items": {"type": "object", "properties": {"id": {"type": ["integer", "string"]}, "amount": MONEY}, "required": ["id", "amount"]}},
        ("每笔多少", "each item's amount"),
    ),
    pure=True,
    examples=(
        {
            "mode": "marginal_units",
            "items": [{"id": 1, "amount": 1_000_000}, {"id": 2, "amount": 2_000_000, "units": 2}],
            "tiers": [{"at_least": 0, "below": 3, "rate_ppm": 8000}, {"at_least": 3, "rate_ppm": 10_000}],
        },
        {"mode": "whole_retro", "count": "amount", "items": [{"id": "a", "amount": 99}], "tiers": [{"at_least": 0, "fixed": 500}]},
    ),
)
def tiers(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Value:
    """Every item's amount by its tier."""
    items, mode = params["items"], params["mode"]
    count = {"marginal_units": "units", "marginal_amount": "amount"}.get(mode) or params.get("count", "units")
    scale = Scale(params["tiers"], 1 if count == "units" else 0)
    found = _MODES[mode](scale, items, count)
    return [{"id": item["id"], "amount": amount} for item, amount in zip(items, found, strict=True)]


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
