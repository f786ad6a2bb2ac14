"""Which of the rows written at one moment a rule had before it: rules run one after the other, and what follows from a change only when the rule at hand has
ended (engine/records/ruling.py). Known from the chains of causes that history keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.records.record import Change
from engine.records.rewinding import LAST, Entry, Position
from engine.replay_log import Moments
from engine.replay_looking import Desk, Occasion

#: Rules that begin a transaction of their own, and those that are part of what sets others off.
_TIMED = frozenset({"later", "due", "cron", "event", "intake"})
_INSIDE = frozenset({"before", "action"})


def change_of(entry: Entry) -> Change:
    """A row of history as the change it notes."""
    return Change(entry.entity, entry.record, "computed" if entry.derived else entry.verb, entry.version, entry.before, entry.after, entry.at)


@dataclass(slots=True)
class Order:
    """The order of one replay's rules and writes."""

    desk: Desk
    moments: Moments

    def before(self, verb: str) -> dict[str, int]:
        """Where the rules before a write stand among each other."""
        book, entity = self.desk.book.before, self.desk.rule.entity
        rules = (*book.get((entity, verb), ()), *book.get((entity, "stage"), ()))
        return {rule.key: number for number, rule in enumerate(rules)}

    def end(self, entry: Entry) -> int:
        """The first row after the transaction of a row: the next save of its record, or what a rule wrote in a transaction of its own."""
        ruled = entry.run is not None
        for other in self._following(entry):
            if other.run is None:
                if not other.derived and (ruled or self._same_record(entry, other)):
                    return other.id
            elif self._root(other) in _TIMED and (entry.run is None or other.chain[:1] != entry.chain[:1]):
                return other.id
            else:
                ruled = True
        return LAST

    def bound(self, entry: Entry) -> int:
        """The first row written after the rule would have looked at a change."""
        inner = self._chain(entry)
        ruled = bool(inner)
        for other in self._following(entry):
            if other.run is None:
                if not other.derived and (ruled or self._same_record(entry, other) or other.person != entry.person):
                    return other.id
                continue
            chain = self._settled(other.chain)
            if not self._stands_before(entry, inner, other, chain):
                return other.id
            ruled = ruled or bool(chain)
        return LAST

    def _following(self, entry: Entry) -> Iterator[Entry]:
        return (other for other in self.moments.at(entry.at) if other.id > entry.id)

    @staticmethod
    def _same_record(entry: Entry, other: Entry) -> bool:
        return (entry.entity, entry.record) == (other.entity, other.record)

    def _root(self, entry: Entry) -> str:
        return self._kind(entry.chain[0]) if entry.chain else ""

    def _kind(self, rule: str) -> str:
        found = self.desk.book.rules.get(rule)
        return found.trigger.kind if found is not None else ""

    def _settled(self, chain: tuple[str, ...]) -> tuple[str, ...]:
        """The rules of a chain that were set off by changes; actions, rules around them and rules before a write are part of what calls them."""
        return tuple(key for key in chain if not self._is_inside(key))

    def _is_inside(self, rule: str) -> bool:
        found = self.desk.book.rules.get(rule)
        return found is not None and (found.trigger.kind in _INSIDE or found.trigger.verb == "action")

    def _chain(self, entry: Entry) -> tuple[str, ...]:
        """The chain that led to a change; a derived value follows what was written before it."""
        if entry.run is not None or not entry.derived:
            return self._settled(entry.chain)
        for other in reversed([one for one in self.moments.at(entry.at) if one.id < entry.id]):
            if other.run is not None:
                return self._settled(other.chain)
            if not other.derived:
                break
        return ()

    def _stands_before(self, entry: Entry, inner: tuple[str, ...], other: Entry, chain: tuple[str, ...]) -> bool:
        """Whether what a rule wrote after a change was written before the rule at hand looked: changes are followed in the order they were made."""
        if self._root(other) in _TIMED and other.chain[:1] != entry.chain[:1] and inner[:1] != chain[:1]:
            return False
        if len(chain) <= len(inner):
            return True
        if len(chain) > len(inner) + 1:
            return False
        order = self._listening(entry) if chain[:-1] == inner else {}
        if chain[-1] in order:
            return order[chain[-1]] < order.get(self.desk.rule.key, 0)
        return any(one.id < entry.id and self._settled(one.chain) == chain[:-1] for one in self.moments.at(entry.at) if one.run is not None)

    def _listening(self, entry: Entry) -> dict[str, int]:
        past = self.desk.library.past(entry.entity, entry.record)
        whole = next((one for one in past.entries if one.id == entry.id), entry)
        rules = self.desk.listener._listening(self.desk.book.after, change_of(whole))
        return {rule.key: number for number, rule in enumerate(rules)}


def at_other(occasion: Occasion, bound: int) -> Position:
    """The position of an occasion when the run it set off is known: everything before the first row of that run."""
    return replace(occasion.position, bound=bound) if occasion.position.entry else Position(occasion.position.at, 0, bound)
