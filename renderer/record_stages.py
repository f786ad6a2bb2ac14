"""Where a record stands among its stages: the bar on its page. Decides nothing about moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.fields.values import Masked
from engine.records.record import Record
from engine.records.stage_log import gone_through
from metadata.text import label_text
from renderer.bound_field import OptionView

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity
    from metadata.definitions import Option

STEPS_AT_MOST = 12


def steps(ctx: Context, entity: CompiledEntity, record: Record) -> list[OptionView]:
    """The stages on the way in order, then the ends it may still come to, of which only one will be; once it has come to one, that alone.

    The present one is picked, one behind it is ``past``, one of several ends still open ``end``. () when there are none or too many to show. Needs an open
    connection.
    """
    stages = entity.stages
    if stages is None or stages.field not in record or isinstance(record[stages.field], Masked):
        return []
    options, at = _options(ctx, entity, stages.field), record[stages.field]
    way, ends = ways_and_ends(entity, [code for code, option in options.items() if not option.retired or code == at], at)
    if at is None:
        past, still = [], ends
    elif at in way:
        past, still = way[: way.index(at)], [end for end in ends if end in ahead_of(entity, at, way)]
    else:  # in one of several ends, it need not have gone all the way
        past, still = way if len(ends) == 1 else sorted(gone_through(ctx.open, entity.key, record.id)), [at] if at in options else ends
    if len(way) + len(still) > STEPS_AT_MOST:
        return []
    notes = {**dict.fromkeys(still if len(still) > 1 else (), "end"), **dict.fromkeys(past, "past")}
    return [
        OptionView(code, label_text(options[code].title, ctx.locale, code), options[code].colour, code == at, note=notes.get(code, ""))
        for code in (*way, *still)
    ]


def is_over(ctx: Context, entity: CompiledEntity, record: Record) -> bool:
    """Whether a record has come to an end from which nothing leads further."""
    stages = entity.stages
    at = record.get(stages.field) if stages is not None else None
    if stages is None or not isinstance(at, str):
        return False
    return at in ways_and_ends(entity, list(_options(ctx, entity, stages.field)), at)[1]


def _options(ctx: Context, entity: CompiledEntity, field: str) -> Mapping[str, Option]:
    return ctx.workspace.scope.choices(str(entity.fields[field].definition.options.get("choices", ""))).options


def ways_and_ends(entity: CompiledEntity, codes: Sequence[str], at: str | None) -> tuple[list[str], list[str]]:
    """The stages from which a record comes further in their order, and the ends; without those no move names, unless it stands there (``at``)."""
    rank = {code: number for number, code in enumerate(codes)}
    moves = [(before, after) for before, after in entity.moves if before in rank and after in rank]
    further = {before for before, after in moves if rank[after] > rank[before]}
    known = {code for move in moves for code in move} | {at}
    return [code for code in codes if code in further], [code for code in codes if code in known - further]


def ahead_of(entity: CompiledEntity, stage: str, way: Sequence[str]) -> set[str]:
    """Where a record comes to from a stage without going back on its way."""
    rank = {code: number for number, code in enumerate(way)}
    found, new = set[str](), {stage}
    while new:
        new = {after for before, after in entity.moves if before in new and rank.get(after, len(way)) > rank.get(before, len(way))} - found
        found |= new
    return found
