"""Which indexes the definitions need, and why: derived from lists, permissions, links, unique keys, due rules, roll-ups and search.

Decides only; plan.py compares with what exists, apply.py builds. Every index says its reasons, so that the plan can name them in words.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from engine.schema import due_terms
from engine.schema.carried import carried_key
from engine.schema.conditions import branches, denied, fixed, hop, is_certain, terms, tree_of
from engine.schema.index_spec import BESIDE_LIMIT, IndexSpec, Reason, Stored, is_sortable, titles
from engine.schema.rollup_indexes import of_rollups
from engine.schema.tables import SEARCH_COLUMN, StoredField, blind_name, last4_name
from metadata.bundle import Bundle
from metadata.definitions import Entity, ListView, Unique

#: Scope columns before the sort of a list: more than two make the index wider than useful.
SCOPE_LIMIT = 2
SORTABLE_SYSTEM = frozenset({"created_at", "updated_at", "created_by", "updated_by", "version"})


def needed(bundle: Bundle, stored: Stored, dialect: str) -> dict[str, IndexSpec]:
    """Every index the bundle needs, by name; what one index serves is not built twice."""
    found: dict[str, IndexSpec] = {}
    for spec in _all(bundle, stored, dialect):
        known = found.get(spec.name)
        found[spec.name] = replace(known, reasons=_joined(known.reasons, spec.reasons)) if known else spec
    return _without_served(_together(found.values()))


def _together(specs: Iterable[IndexSpec]) -> dict[str, IndexSpec]:
    """Indexes that differ only in what they carry beside their order become one that carries it all, as far as BESIDE_LIMIT."""
    found: dict[str, IndexSpec] = {}
    heads: dict[tuple[str, tuple[str, ...], frozenset[str]], IndexSpec] = {}
    for spec in specs:
        plain = not (spec.unique or spec.where or spec.method or spec.filled) and "id" in spec.columns
        head = spec.columns[: spec.columns.index("id") + 1] if plain else ()
        known = heads.get((spec.entity, head, spec.descending)) if plain else None
        columns = tuple(dict.fromkeys((*known.columns, *spec.columns))) if known is not None else spec.columns
        if known is not None and len(columns) <= len(head) + BESIDE_LIMIT:
            del found[known.name]
            spec = replace(known, columns=columns, reasons=_joined(known.reasons, spec.reasons))
        if plain:
            heads[spec.entity, head, spec.descending] = spec
        found[spec.name] = spec
    return found


def _joined(first: tuple[Reason, ...], more: tuple[Reason, ...]) -> tuple[Reason, ...]:
    return (*first, *(reason for reason in more if reason not in first))


def _without_served(specs: dict[str, IndexSpec]) -> dict[str, IndexSpec]:
    """Drop what another index serves, handing its reasons on."""
    kept: dict[str, IndexSpec] = {}
    by_entity: dict[str, list[IndexSpec]] = {}
    for spec in sorted(specs.values(), key=lambda item: (-item.unique, -len(item.columns), item.name)):
        rivals = by_entity.setdefault(spec.entity, [])
        server = next((rival for rival in rivals if rival.serves(spec)), None)
        if server is None:
            rivals.append(spec)
            kept[spec.name] = spec
        else:
            kept[server.name] = replace(kept[server.name], reasons=_joined(kept[server.name].reasons, spec.reasons))
    return kept


def _all(bundle: Bundle, stored: Stored, dialect: str) -> Iterator[IndexSpec]:
    for entity in bundle.entities.values():
        columns = {field.key: stored[entity.key, field.key] for field in entity.live_fields() if (entity.key, field.key) in stored}
        yield from _of_uniques(entity, columns)
        yield from _of_fields(entity, columns, dialect)
        yield from _of_ledger(entity, columns)
    yield from _of_lists(bundle, stored)
    yield from _of_grants(bundle, stored)
    yield from of_rollups(bundle, stored)
    yield from _of_due_rules(bundle, stored)


def uniques_of(entity: Entity) -> tuple[Unique, ...]:
    """The declared uniques of an entity and those of single fields marked ``unique``."""
    lone = tuple(Unique(field.key, (field.key,)) for field in entity.live_fields() if field.unique)
    return (*entity.unique.values(), *(unique for unique in lone if unique.key not in entity.unique))


def unique_spec(entity: Entity, unique: Unique, columns: Mapping[str, StoredField]) -> IndexSpec | None:
    """The partial unique index of a declared uniqueness; None while one of its fields is not stored."""
    if not all(key in columns for key in unique.fields):
        return None
    physical = tuple(blind_name(columns[key].column) if columns[key].blind else columns[key].column for key in unique.fields)
    return IndexSpec(
        entity.key,
        physical,
        unique=True,
        where=unique.where,
        key=unique.key,
        fields=unique.fields,
        reasons=(Reason("index_unique", titles(entity, unique.fields)),),
    )


def _of_uniques(entity: Entity, columns: Mapping[str, StoredField]) -> Iterator[IndexSpec]:
    for unique in uniques_of(entity):
        spec = unique_spec(entity, unique, columns)
        if spec is not None:
            yield spec


def _of_fields(entity: Entity, columns: Mapping[str, StoredField], dialect: str) -> Iterator[IndexSpec]:
    """Links, blind indexes, fields that ask for one, and the search tokens."""
    for field in entity.live_fields():
        stored = columns.get(field.key)
        if stored is None:
            continue
        title = titles(entity, (field.key,))
        if stored.blind:
            yield IndexSpec(entity.key, (blind_name(stored.column),), reasons=(Reason("index_blind", title),))
        if stored.last4:
            yield IndexSpec(entity.key, (last4_name(stored.column),), reasons=(Reason("index_last4", title),))
        if stored.target:
            yield IndexSpec(entity.key, (stored.column,), reasons=(Reason("index_link", title),))
        elif field.index and not stored.blind:
            yield IndexSpec(entity.key, (stored.column, "id"), reasons=(Reason("index_asked", title),))
    if dialect == "postgresql" and any(stored.letter for stored in columns.values()):
        yield IndexSpec(entity.key, (SEARCH_COLUMN,), method="gin", reasons=(Reason("index_search", entity.title),))


def _of_ledger(entity: Entity, columns: Mapping[str, StoredField]) -> Iterator[IndexSpec]:
    """Balances of a ledger are summed by what they are about, the account, and who."""
    keys = tuple(str(entity.ledger[word]) for word in ("about", "account", "who") if word in entity.ledger)
    if keys and all(key in columns and not columns[key].blind for key in keys):
        yield IndexSpec(entity.key, tuple(columns[key].column for key in keys), reasons=(Reason("index_ledger", titles(entity, keys)),))


def _sort_columns(entity: str, sort: Iterable[str], stored: Stored) -> tuple[tuple[str, bool], ...] | None:
    """(physical column, descending) of a sort, the closing id only where it runs against the column before; None when one of them is not stored."""
    columns: list[tuple[str, bool]] = []
    for item in sort:
        key, down = item.removeprefix("-"), item.startswith("-")
        if key == "id":
            if columns and columns[-1][1] is not down:
                columns.append(("id", down))
            break
        if key in SORTABLE_SYSTEM:
            columns.append((key, down))
        elif (entity, key) in stored and not stored[entity, key].blind:
            columns.append((stored[entity, key].column, down))
        else:
            return None
    return tuple(columns)


def _sorted_spec(entity: str, scope: tuple[str, ...], sort: tuple[tuple[str, bool], ...], reason: Reason, beside: tuple[str, ...] = ()) -> IndexSpec | None:
    """(scope, sort, id); columns run down only where the sort mixes directions, since an index is read both ways.

    ``beside``: what the condition fixes besides, put last: rows that are not meant are passed over inside the index.
    """
    names = [name for name, _ in sort if name not in scope]
    mixed = len({down for _, down in sort}) > 1
    down = frozenset(name for name, falls in sort if falls and name not in scope) if mixed else frozenset()
    columns = tuple(dict.fromkeys((*scope, *names, "id", *beside)))
    return IndexSpec(entity, columns, descending=down, reasons=(reason,)) if len(columns) > 1 else None


def _of_lists(bundle: Bundle, stored: Stored) -> Iterator[IndexSpec]:
    for view in bundle.lists.values():
        if view.entity in bundle.entities:
            for spec in _of_list(bundle, view, stored):
                if spec is not None:
                    yield spec


def _of_list(bundle: Bundle, view: ListView, stored: Stored) -> Iterator[IndexSpec | None]:
    """The list's own condition before its sort, the permitted rows before it, its board's lanes, its quick filters where nothing else narrows it, its calendar."""
    sort = _sort_columns(view.entity, view.sort, stored) or ()
    title = view.title or view.key
    fixed_by = _scope_columns(view.entity, view.where, stored)
    own = [_narrowest(branch, view.entity, stored) for branch in fixed_by]
    passed = tuple(_denied_columns(view.entity, view.where, stored))
    for branch, whole in zip(own or [()], fixed_by or [()], strict=True):
        yield _sorted_spec(view.entity, branch, sort, Reason("index_list", title), (*(column for column in whole if column not in branch), *passed))
    scope = own[0] if len(own) == 1 else ()
    for column in _alternatives(view.entity, view.where, stored):
        yield IndexSpec(view.entity, tuple(dict.fromkeys((*scope, column))), reasons=(Reason("index_list", title),))
    narrow = bool(own) and all(_selective(branch[0], view.entity, stored) for branch in own)
    lanes = _filters(view.entity, (view.kanban,), stored)
    if not narrow:
        beside = (*(fixed_by[0] if len(fixed_by) == 1 else ()), *passed)
        for column in _grant_scopes(bundle, view, stored):
            yield _sorted_spec(view.entity, (column,), sort, Reason("index_list_rows", title), tuple(name for name in (*beside, *lanes) if name != column))
        for column in lanes:
            yield _sorted_spec(view.entity, (column,), sort, Reason("index_quick", title), beside)
    for column in _filters(view.entity, view.quick, stored) if not own else ():
        yield _sorted_spec(view.entity, (column,), sort, Reason("index_quick", title))
    if view.calendar and (day := _sort_columns(view.entity, (view.calendar,), stored)):
        yield _sorted_spec(view.entity, (), day, Reason("index_calendar", title))


def _filters(entity: str, keys: Iterable[str], stored: Stored) -> tuple[str, ...]:
    """The columns of some fields that an index can be by."""
    places = [stored.get((entity, key)) for key in dict.fromkeys(keys)]
    return tuple(place.column for place in places if place is not None and not place.blind and is_sortable(place))


def _denied_columns(entity: str, source: str, stored: Stored) -> Iterator[str]:
    """The columns of booleans that a condition wants not to be true."""
    for term in terms(tree) if (tree := tree_of(source)) is not None else ():
        place = stored.get((entity, denied(term) or ""))
        if place is not None:
            yield place.column


def _alternatives(entity: str, source: str, stored: Stored) -> Iterator[str]:
    """The columns compared by alternatives inside a condition: ``stage == 'new' and (due_at < now() or asked_at < now())``."""
    tree = tree_of(source)
    for term in terms(tree) if tree is not None else ():
        for branch in branches(term) if isinstance(term, ast.BoolOp) and term is not tree else ():
            first = next((one for one in terms(branch) if isinstance(one, ast.Compare) and isinstance(one.left, ast.Name)), None)
            place = stored.get((entity, first.left.id)) if first is not None and isinstance(first.left, ast.Name) else None
            if place is not None and not place.blind and is_sortable(place):
                yield place.column


def _selective(column: str, entity: str, stored: Stored) -> bool:
    """A link narrows to few rows; a choice or a boolean leaves many."""
    return any(item.column == column and bool(item.target) for place, item in stored.items() if place[0] == entity)


def _is_carried(column: str, entity: str, stored: Stored) -> bool:
    return any(item.column == column and item.carried for place, item in stored.items() if place[0] == entity)


def _narrowest(branch: tuple[str, ...], entity: str, stored: Stored) -> tuple[str, ...]:
    """The link of a condition alone, which other lists share; else all it fixes."""
    links = tuple(column for column in branch if _selective(column, entity, stored))
    return links[:1] or branch


def _grant_scopes(bundle: Bundle, view: ListView, stored: Stored) -> list[str]:
    """Links, and what is carried over them, by which those who get a list see its rows, each once."""
    found: dict[str, None] = {}
    told = terms(tree) if (tree := tree_of(view.where)) is not None else []
    for role in bundle.roles.values():
        grant = role.grants.get(view.entity)
        if grant is not None and isinstance(grant.read, str) and (not view.audience or role.key in view.audience):
            if any(is_certain(branch, told) for branch in branches(tree_of(grant.read))):
                continue  # who may see all rows of the list anyway
            for branch in _scope_columns(view.entity, grant.read, stored, carried=True):
                found.update(dict.fromkeys(column for column in branch if _selective(column, view.entity, stored) or _is_carried(column, view.entity, stored)))
    return list(found)


def _of_grants(bundle: Bundle, stored: Stored) -> Iterator[IndexSpec]:
    """Each column that decides alone which rows a role sees, the target's column of a hop included."""
    for role in bundle.roles.values():
        for entity, grant in role.grants.items():
            if entity in bundle.entities and isinstance(grant.read, str):
                reason = Reason("index_rows", role.title or role.key)
                for branch in _scope_columns(entity, grant.read, stored, carried=True):
                    yield IndexSpec(entity, branch[:1], reasons=(reason,))
                for target, column in _hop_columns(entity, grant.read, stored):
                    yield IndexSpec(target, (column,), reasons=(reason,))


def _of_due_rules(bundle: Bundle, stored: Stored) -> Iterator[IndexSpec]:
    """What a due rule is found by: the instant, of the records for which the lasting part of its condition holds."""
    for rule in bundle.rules.values():
        for entity, key in due_terms.places_of(rule.body):
            if (entity, key) in stored and not stored[entity, key].blind:
                where = due_terms.kept_terms(entity, rule.body.get("if"), stored)
                yield IndexSpec(entity, (stored[entity, key].column,), where=where, filled=True, reasons=(Reason("index_due", rule.title or rule.key),))


def _scope_columns(entity: str, source: str, stored: Stored, *, carried: bool = False) -> list[tuple[str, ...]]:
    """For each ``or`` branch of a condition the stored columns it fixes to one value (or to a set of them), at most SCOPE_LIMIT.

    ``carried``: row permissions, which read carried values where they look over a link.
    """
    found: list[tuple[str, ...]] = []
    for branch in branches(tree_of(source)):
        names = [name for term in terms(branch) if (name := fixed(term)) is not None]
        if carried:
            names += [carried_key(*path) for term in terms(branch) if (path := hop(term)) is not None]
        columns = [
            stored[entity, name].column
            for name in dict.fromkeys(names)
            if (entity, name) in stored and not stored[entity, name].blind and is_sortable(stored[entity, name])
        ]
        if columns:
            found.append(tuple(columns[:SCOPE_LIMIT]))
    return found


def _hop_columns(entity: str, source: str, stored: Stored) -> Iterator[tuple[str, str]]:
    """(target entity, column) of conditions over one link that the row carries nothing of: ``LINK.owner == me``."""
    for branch in branches(tree_of(source)):
        for path in map(hop, terms(branch)):
            link = stored.get((entity, path[0])) if path is not None and (entity, carried_key(*path)) not in stored else None
            if path is not None and link is not None and link.target and (link.target, path[1]) in stored and not stored[link.target, path[1]].blind:
                yield link.target, stored[link.target, path[1]].column
