"""Small faults, one at a time: what ``make mutation`` does to a module's source.

The operators are those of the literature (Offutt et al. 1996, "the sufficient operators", and deletion of statements):
comparisons at and beyond their boundary, arithmetic, signs, ``and``/``or``, conditions negated, numbers changed,
``min`` for ``max``, statements left out. Text for people and annotations stay as they are.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
}
_CALLS = {"min": "max", "max": "min", "all": "any", "any": "all", "sin": "cos", "cos": "sin"}
_DELETABLE = (ast.Assign, ast.AugAssign, ast.Expr, ast.Raise, ast.Continue)


@dataclass(frozen=True)
class Mutant:
    """One fault in a module."""

    index: int
    """Its number among the module's."""
    line: int
    statement: int
    """Line on which its statement begins."""
    change: str
    """What is different, for people: ``a < b -> a <= b``."""
    source: str
    """The whole module with the fault."""


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its source."""
    count = len(_sites(ast.parse(source)))
    for index in range(count):
        tree = ast.parse(source)
        site = _sites(tree)[index]
        before = ast.unparse(site.shown)
        site.apply()
        after = site.after or ast.unparse(site.shown)
        change, text = f"{_short(before)}  →  {_short(after)}", ast.unparse(ast.fix_missing_locations(tree))
        yield Mutant(index, site.line, site.statement, change, text)


@dataclass(frozen=True)
class _Site:
    line: int
    shown: ast.AST
    apply: Callable[[], object]
    after: str = ""
    """What to show instead of the changed node."""
    statement: int = 0


def _sites(tree: ast.Module) -> list[_Site]:
    sites: list[_Site] = []
    _visit(tree, sites, 0, tree)
    return sites


def _visit(node: ast.AST, sites: list[_Site], statement: int, parent: ast.AST) -> None:
    """Collect the sites in ``node`` and below, leaving out text and types."""
    if isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return
    if isinstance(node, ast.stmt):
        statement = node.lineno
    # A bare number says nothing: it is shown in what it stands in.
    shown = parent if isinstance(node, ast.Constant) and isinstance(parent, (ast.expr, ast.keyword)) else None
    sites.extend(replace(site, statement=statement, shown=shown or site.shown) for site in _of_node(node))
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "ctx", "type_params"):
            continue
        children = value if isinstance(value, list) else [value]
        for position, child in enumerate(children):
            if not isinstance(child, ast.AST):
                continue
            if isinstance(value, list) and name in ("body", "orelse") and isinstance(child, _DELETABLE):
                sites.extend(_deletion(child, value, position))
            if not _is_text(child) and not _is_alias(node, child):
                _visit(child, sites, statement, node)


def _of_node(node: ast.AST) -> Iterator[_Site]:
    line = getattr(node, "lineno", 0)

    def site(apply: Callable[[], object]) -> _Site:
        return _Site(line, node, apply)

    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in _COMPARISONS.get(type(operator), ()):
                yield site(lambda i=i, other=other: node.ops.__setitem__(i, other()))
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _ARITHMETIC:
        yield site(lambda: setattr(node, "op", _ARITHMETIC[type(node.op)]()))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield site(lambda: setattr(node, "op", ast.UAdd()))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield site(lambda: setattr(node, "operand", ast.UnaryOp(ast.Not(), node.operand)))
    elif isinstance(node, ast.BoolOp):
        yield site(lambda: setattr(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And()))
    elif isinstance(node, (ast.If, ast.IfExp, ast.While)) and isinstance(
        node.test, (ast.Name, ast.Attribute, ast.Call)
    ):
        test = node.test
        yield _Site(line, test, lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), test)), f"not {ast.unparse(test)}")
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        yield site(lambda: setattr(node, "value", _other(node.value)))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        function = node.func
        yield site(lambda: setattr(function, "id", _CALLS[function.id]))


def _deletion(child: ast.stmt, body: list[ast.stmt], position: int) -> Iterator[_Site]:
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return
    yield _Site(
        child.lineno, child, lambda: body.__setitem__(position, ast.Pass()), after="(left out)", statement=child.lineno
    )


def _other(value: bool | int | float) -> bool | int | float:
    return (not value) if isinstance(value, bool) else value + 1


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_alias(parent: ast.AST, node: ast.AST) -> bool:
    """A type alias or ``__all__`` at the top of a module: names, not behaviour."""
    return isinstance(parent, ast.Module) and isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else line[:67] + "..."
