"""Labels from a context variable of the program: setting `label`, for example `myapp.ctx:route`.

It is read after each step of a task; its last text is the label. The module is never imported: the variable is looked
up in the modules that the program has loaded.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from enum import Enum
from typing import Any

NAME = "context variable"


def is_path(text: str) -> bool:
    """Whether a setting names a module and a variable of it."""
    module, colon, name = text.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def find(path: str) -> ContextVar[Any] | None:
    """The variable; None: its module is not loaded (yet). Raises TypeError if it is something else."""
    module, _, names = path.partition(":")
    found: Any = sys.modules.get(module)
    if found is None or getattr(getattr(found, "__spec__", None), "_initializing", False):
        return None
    if module == "__main__" and names.partition(".")[0] not in vars(found):
        return None  # the script may be running up to its definition
    for name in names.split("."):
        found = vars(found).get(name) if hasattr(found, "__dict__") else None
    if not isinstance(found, ContextVar):
        raise TypeError(f"{path} is not a context variable")
    return found


def text(value: Any) -> str | None:
    """The label for a value:

    a text, a number or a member of an enumeration. Other types would run code of the program.
    """
    if isinstance(value, Enum):
        value = value._value_ if isinstance(value._value_, str) else value._name_
    if isinstance(value, str):
        return str.__str__(value) or None
    return int.__repr__(value) if isinstance(value, int) else None
