"""Parses the setting `box`: folder and size of the black box, or off."""

from __future__ import annotations

from ..base.settings import warn
from .ring import LEAST, MOST

USUAL = 8 << 20
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class BoxSetting:
    """Size in bytes (0: no box) and folder (empty: the runtime directory)."""

    __slots__ = ("folder", "size")

    def __init__(self, text: str) -> None:
        self.size = USUAL
        self.folder = ""
        for part in (part.strip() for part in text.split(",")):
            word = part.lower()
            if word in ("off", "no", "false", "0"):
                self.size = 0
            elif "/" in part:
                self.folder = part.rstrip("/") or "/"
            elif word in ("", "on", "yes", "true", "1"):
                continue
            else:
                self.size = _size(word) or self.size


def _size(word: str) -> int:
    number = word.removesuffix("b").removesuffix("i")
    unit = number[-1:] if number[-1:] in _UNITS else ""
    digits = number.removesuffix(unit)
    if not digits.isascii() or not digits.isdigit():
        warn(f"box={word!r} is not a size, folder or off; using 8MiB")
        return 0
    return min(max(int(digits[:18]) * _UNITS[unit], LEAST), MOST)
