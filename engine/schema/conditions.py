"""What a written condition demands of a row, read off its text: the own fields it fixes, the fields it fixes over a link. Knows no types and compiles nothing."""

import ast

from engine.expressions.guard import syntax_tree


def tree_of(source: str) -> ast.expr | None:
    """The parsed condition; None when there is none or it is not an expression (the checker has said so before)."""
    try:
        return syntax_tree(source) if source.strip() else None
    except (SyntaxError, ValueError):
        return None


def branches(tree: ast.expr | None) -> list[ast.expr]:
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.Or):
        return [branch for value in tree.values for branch in branches(value)]
    return [] if tree is None else [tree]


def terms(tree: ast.expr) -> list[ast.expr]:
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [term for value in tree.values for term in terms(value)]
    return [tree]


def is_equality(term: ast.Compare) -> bool:
    return len(term.ops) == 1 and isinstance(term.ops[0], ast.Eq | ast.In)


def fixed(term: ast.expr) -> str | None:
    """The field a term fixes: ``owner == me``, ``stage in ('a', 'b')``, ``has(me.teams, team)``, ``empty(owner)``, a bare boolean field."""
    if isinstance(term, ast.Compare) and is_equality(term) and isinstance(term.left, ast.Name):
        return term.left.id
    if isinstance(term, ast.Compare) and isinstance(term.ops[0], ast.Eq) and isinstance(term.comparators[0], ast.Name):
        return term.comparators[0].id
    if isinstance(term, ast.Call) and isinstance(term.func, ast.Name) and term.func.id == "empty" and term.args and isinstance(term.args[0], ast.Name):
        return term.args[0].id
    if isinstance(term, ast.Call) and isinstance(term.func, ast.Name) and term.func.id == "has" and len(term.args) == 2 and isinstance(term.args[1], ast.Name):
        return term.args[1].id
    return term.id if isinstance(term, ast.Name) else None


def is_certain(branch: ast.expr, told: list[ast.expr]) -> bool:
    """Whether a condition is sure to hold where all of ``told`` do: each of its terms is among them, or names a value they leave."""
    known = {ast.dump(term) for term in told}
    return all(ast.dump(term) in known or _names(term, told) for term in terms(branch))


def _names(term: ast.expr, told: list[ast.expr]) -> bool:
    """``stage in ('a', 'b')`` where ``stage == 'a'`` is told."""
    if not (isinstance(term, ast.Compare) and isinstance(term.ops[0], ast.In) and isinstance(term.comparators[0], ast.Tuple | ast.List)):
        return False
    meant = {ast.dump(ast.Compare(term.left, [ast.Eq()], [item])) for item in term.comparators[0].elts}
    return any(ast.dump(one) in meant for one in told)


def denied(term: ast.expr) -> str | None:
    """The boolean field a term wants not to be true: ``not done``."""
    return term.operand.id if isinstance(term, ast.UnaryOp) and isinstance(term.op, ast.Not) and isinstance(term.operand, ast.Name) else None


def hop(term: ast.expr) -> tuple[str, str] | None:
    """The link and the field beyond it that a term fixes: ``LINK.owner == me``, ``has(me.teams, LINK.team)``; ``me.team`` looks the same and leads nowhere."""
    sides: list[ast.expr] = []
    if isinstance(term, ast.Compare) and is_equality(term):
        sides = [term.left, *(term.comparators if isinstance(term.ops[0], ast.Eq) else ())]
    elif isinstance(term, ast.Call) and isinstance(term.func, ast.Name) and term.func.id == "has" and len(term.args) == 2:
        sides = [term.args[1]]
    return next(
        ((side.value.id, side.attr) for side in sides if isinstance(side, ast.Attribute) and isinstance(side.value, ast.Name) and side.value.id != "me"), None
    )
