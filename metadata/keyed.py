"""Lists of keyed items, as comparing and merging see them: which key an item has, and how two new orders become one."""

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from metadata.step_words import step_key, verb_of

_KEY_WORDS = ("key", "field", "code")


def item_key(item: Any) -> Hashable | None:
    """The key an item of a list is known by; None when it has none."""
    if isinstance(item, str):
        return item
    if not isinstance(item, Mapping):
        return None
    for word in _KEY_WORDS:
        if isinstance(item.get(word), str):
            return str(item[word])
    verb = verb_of(item)
    return step_key(item, verb) if verb else None


def by_key(items: Sequence[Any]) -> dict[Hashable, Any] | None:
    """The items by key in their order; None when some have no key or two have the same, so that the list counts as one value."""
    found: dict[Hashable, Any] = {}
    for item in items:
        key = item_key(item)
        if key is None or key in found:
            return None
        found[key] = item
    return found


def identical(one: Any, other: Any) -> bool:
    """Equal, order of keys and JSON types included (1, 1.0 and true are three things)."""
    return one is other or json.dumps(one) == json.dumps(other)


def same_order(one: Sequence[Hashable], other: Sequence[Hashable]) -> bool:
    """Whether what both have stands in the same order in both."""
    common = set(one) & set(other)
    return [key for key in one if key in common] == [key for key in other if key in common]


def joined_order(base: Sequence[Hashable], ours: Sequence[Hashable], theirs: Sequence[Hashable], kept: Sequence[Hashable]) -> tuple[list[Hashable], bool]:
    """The order of what is kept, and whether both sides moved things differently (then ours counts).

    The side that moved something gives the order; what only the other side has follows the neighbour it had there.
    """
    wanted = set(kept)
    base, ours, theirs = ([key for key in side if key in wanted] for side in (base, ours, theirs))
    clash = not same_order(ours, theirs) and not same_order(base, ours) and not same_order(base, theirs)
    lead, other = (theirs, ours) if same_order(base, ours) and not same_order(ours, theirs) else (ours, theirs)
    order = list(lead)
    there = set(order)
    before: Hashable | None = None
    for key in other:
        if key not in there:
            order.insert(order.index(before) + 1 if before in there else 0, key)
            there.add(key)
        before = key
    return order, clash
