"""Weak references of the probe, distinguishable from those of the program."""

from __future__ import annotations

import weakref
from typing import Any


class OwnRef(weakref.ref[Any]):
    """A weak reference that the program does not share: plain ones to the same object are one and the same."""

    __slots__ = ()
