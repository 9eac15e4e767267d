"""Formats durations, sizes, counts and paths for people. Pure functions, shared by tables and screens."""

from __future__ import annotations

import unicodedata

UNKNOWN = "–"
"""Shown for a value that is not known."""


def duration(seconds: float | None) -> str:
    """At most 6 cells: `12µs`, `1.24ms`, `823ms`, `4.31s`, `2m05s`, `3h12m`, `5d04h`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0:
        return "-" + duration(-seconds)
    micro = seconds * 1e6
    if micro < 0.5:
        return "0"
    if micro < 999.5:
        return f"{micro:.0f}µs"
    if seconds < 0.9995:
        return f"{_three(seconds * 1e3)}ms"
    if seconds < 59.95:
        return f"{_three(seconds)}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02d}h"


def bound(seconds: float | None, at_least: bool) -> str:
    """As `duration`, prefixed with `≥` for a lower bound."""
    return f"{'≥' if at_least else ''}{duration(seconds)}"


def age(seconds: float | None) -> str:
    """As `duration`, but in whole seconds from one second on, so that a growing value does not flicker."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.95:
        return f"{max(seconds, 0.0):.1f}s"
    return f"{seconds:.0f}s" if seconds < 59.5 else duration(max(seconds, 60.0))


def _three(value: float) -> str:
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def size(count: float | None) -> str:
    """At most 7 cells: `812B`, `1.5KiB`, `37.2MiB`."""
    if count is None:
        return UNKNOWN
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1000 or unit == "GiB":
            return f"{value:.0f}{unit}" if unit == "B" or value >= 100 else f"{value:.1f}{unit}"
        value /= 1024
    raise AssertionError


def count(number: float | None) -> str:
    """At most 6 cells: `812`, `10432`, `1.24M`."""
    if number is None:
        return UNKNOWN
    if number < 99_999.5:
        return f"{number:.0f}"
    return f"{number / 1e3:.0f}k" if number < 999_500 else f"{number / 1e6:.2f}M"


def several(number: int, what: str, most: str | None = None) -> str:
    """A number and what it counts: `1 task`, `2 tasks`, `3 processes`. `most`: a plural that is not made with an s."""
    return f"{count(number)} {what if number == 1 else most or what + 's'}"


def only_in(a: object, b: object) -> str:
    """The mark of what only one of two recordings has: `(only in B)`; empty if both have it."""
    return "" if a and b else f"(only in {'A' if a else 'B'})"


def of_many(number: int, what: str, most: str | None = None) -> str:
    """As `several`, with the whole number: `1 step`, `12,345 steps`."""
    return f"{number:,} {what if number == 1 else most or what + 's'}"


def rate(number: float | None) -> str:
    """Events per second, at most 6 cells: `0.3`, `12`, `4.2k`."""
    if number is None:
        return UNKNOWN
    if number < 9.95:
        return "0" if number < 0.05 else f"{number:.1f}"
    return f"{number:.0f}" if number < 9_999.5 else f"{number / 1e3:.1f}k"


def percent(share: float | None) -> str:
    """A share between 0 and 1: `0%`, `3.2%`, `87%`."""
    if share is None:
        return UNKNOWN
    value = share * 100
    return f"{value:.1f}%" if 0.05 <= value < 9.95 else f"{value:.0f}%"


def clean(text: str) -> str:
    """Text as one printable line: control and bidirectional characters are escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == " " else _visible(c) for c in text)


def _visible(char: str) -> str:
    code = ord(char)
    if code < 32:
        return chr(0x2400 + code)
    if code == 127:
        return "␡"
    if unicodedata.category(char) in ("Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"):
        return "�"
    return " "


def place(path: str, line: int | None, function: str | None = None, roots: tuple[str, ...] = ()) -> str:
    """`app.py:12 spawn`. Line 0 means unknown and is left out."""
    where = f"{short_path(path, roots)}:{line}" if line else short_path(path, roots)
    return f"{where} {function}" if function else where


def short_path(path: str, roots: tuple[str, ...] = ()) -> str:
    """A file path relative to the innermost root that contains it, else its last two parts.

    A virtual environment often lies in the folder of the project: both are roots.
    """
    cut = max((len(root.rstrip("/")) + 1 for root in roots if path.startswith(root.rstrip("/") + "/")), default=0)
    if cut:
        return path[cut:]
    if path.startswith("<"):
        return path
    parts = path.split("/")
    return path if len(parts) <= 3 else "/".join(parts[-2:])
