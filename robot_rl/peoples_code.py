"""People's own functions, named as ``module:function``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any


def load_callable(path: str) -> Callable[..., Any]:
    """``module:function`` → the function, also of a file in the current folder; ValueError says what is missing."""
    search_current_folder()
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"'{path}' is not a function: give it as module:function ({error})") from None
    if not callable(found):
        raise ValueError(f"'{path}' is not a function but a {type(found).__name__}: give it as module:function")
    return found


def search_current_folder() -> None:
    """Let people's own modules be found where they stand; last, so that none hides an installed one."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
