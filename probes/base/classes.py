"""What a class is, read without code of the program: neither its metaclass nor its properties are asked."""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

mro_of = type.__dict__["__mro__"].__get__
attributes_of = type.__dict__["__dict__"].__get__
qualname_of = type.__dict__["__qualname__"].__get__

IN_C = (GetSetDescriptorType, MemberDescriptorType)
"""Attributes that a class in C computes, and slots."""


def attribute_of(kind: type, name: str) -> Any:
    """What a class, or one that it derives from, has under a name: a descriptor as it is; None if there is none."""
    return next((attributes_of(base)[name] for base in mro_of(kind) if name in attributes_of(base)), None)
