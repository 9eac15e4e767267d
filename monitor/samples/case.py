"""The observation of a sample together with its source, and comparisons of lines, names and figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.samples.observation import Observation
    from monitor.store.model import Site


@dataclass(frozen=True, slots=True)
class Lines:
    """The marked lines of a source. With `anywhere`, any line matches any marker: see `differs`."""

    path: Path
    numbers: dict[str, int]
    anywhere: bool = False

    def match(self, site: Site | None, marker: str) -> bool:
        """Whether a site is the marked line."""
        if site is None:
            return False
        if self.anywhere:
            return Path(site.file).name not in ("entry.py", "runners.py")
        return site.line == self.numbers[marker] and Path(site.file).name == self.path.name

    def place(self, site: Site | None) -> str:
        """Format a site for display."""
        return "a line that was not caught" if site is None else f"{Path(site.file).name}:{site.line}"


@dataclass(frozen=True, slots=True)
class Case:
    """An observation and the lines of the observed source."""

    seen: Observation
    lines: Lines


def within(value: float, of: object) -> bool:
    """Whether a value is within the bounds of an expectation."""
    low, high = getattr(of, "at_least", None), getattr(of, "at_most", None)
    return (low is None or value >= low) and (high is None or value <= high)


def is_named(name: str | None, pattern: str | None) -> bool:
    """Whether a name matches the pattern of an expectation."""
    return name is not None and pattern is not None and fnmatchcase(name, pattern)


def few(texts: Iterable[str], otherwise: str = "nothing") -> str:
    """Join the three most frequent texts, with their counts."""
    counted = Counter(texts)
    shown = [f"{text} ×{number}" if number > 1 else text for text, number in counted.most_common(3)]
    more = len(counted) - len(shown)
    return (", ".join(shown) + (f" and {more} more" if more else "")) or otherwise
