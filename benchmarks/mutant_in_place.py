"""A mutant in a process that has imported its module: functions get the mutated code, nothing is imported anew."""

from __future__ import annotations

import ast
import gc
import importlib.abc
import importlib.util
import inspect
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType
from typing import Any

_OURS = ("hardware", "sim", "robot_rl", "tests", "benchmarks.fuzz", "benchmarks.fuzz_judge")
_OF_A_FUNCTION = inspect.CO_NEWLOCALS
"""A flag that the code of a class's body has not."""


@cache
def live_functions(module: str) -> dict[str, list[list[FunctionType]]]:
    """The functions of an imported module, by qualified name; of several with one name, in the order of the source.

    Found among all that lives, so that a property's getter and what a decorator wraps are there too. Call it before
    forking: it takes a second.
    """
    path = sys.modules[module].__file__
    found: dict[str, dict[int, list[FunctionType]]] = defaultdict(lambda: defaultdict(list))
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename == path:
            found[thing.__code__.co_qualname][thing.__code__.co_firstlineno].append(thing)
    return {name: [functions for _, functions in sorted(lines.items())] for name, lines in found.items()}


def put_in_place(module: str, source: str) -> bool:
    """Give the living functions of ``module`` the code of ``source``, a mutant of it.

    False if that does not do, since the mutant differs in what ran at import: constants, defaults, decorators.
    """
    with open(sys.modules[module].__file__ or "", encoding="utf-8") as file:
        now = compile(ast.unparse(ast.parse(file.read())), "", "exec")  # Lines as a mutant has them.
    then = compile(source, "", "exec")
    if _at_import(now) != _at_import(then):
        return False
    seen: dict[str, int] = defaultdict(int)
    for old, new in zip(_functions(now), _functions(then), strict=True):
        place = seen[old.co_qualname]
        seen[old.co_qualname] += 1
        if old == new:
            continue
        living = live_functions(module).get(old.co_qualname, [])
        if place >= len(living) or any(f.__code__.co_freevars != new.co_freevars for f in living[place]):
            return False
        for function in living[place]:
            function.__code__ = new
    return True


def _functions(code: CodeType) -> Iterator[CodeType]:
    """The functions of a module and of its classes; what is within a function belongs to it."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & _OF_A_FUNCTION:
                yield constant
            else:
                yield from _functions(constant)


def _at_import(code: CodeType) -> tuple[Any, ...]:
    """What a module and its classes do when they are imported, functions left out."""
    constants = tuple(
        (type(constant), repr(constant)) if not isinstance(constant, CodeType)
        else constant.co_name if constant.co_flags & _OF_A_FUNCTION
        else _at_import(constant)
        for constant in code.co_consts
    )  # fmt: skip
    return code.co_code, code.co_names, constants


class _Replacement(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Loads one module from given source."""

    def __init__(self, module: str, source: str):
        self.module, self.source = module, source

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.module else None

    def get_filename(self, fullname: str) -> str:
        return f"<mutant of {self.module}>"

    def get_data(self, path: Any) -> bytes:
        return self.source.encode()


def replace_file(module: str, source: str) -> None:
    """From now on ``module`` is imported from ``source``."""
    sys.meta_path.insert(0, _Replacement(module, source))


def forget() -> None:
    """What is ours counts as not imported."""
    for name in [name for name in sys.modules if name.split(".")[0] in _OURS or name in _OURS]:
        del sys.modules[name]
