"""Prices by tiers: each item by its own count, by brackets of units or of amount, or all by what they reach together. Whole numbers throughout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.api import ActionContext, Handle, Invalid, Value, action, option
from plugins.builtin.amounts import MONEY, PPM, Rows, rounded


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
