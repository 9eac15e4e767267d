"""Conditions of `looptop compare --fail-if` on the share of loop time that a function takes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.flame.tree import Change

PREFIX = "frame:"
_CONDITION = re.compile(
    r"^\s*frame:\s*(?P<name>[^\s<>=]+)\s*(?P<op>>=|<=|>|<)\s*(?P<sign>[+-])?\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%)?\s*$"
)


@dataclass(frozen=True, slots=True)
class FrameCondition:
    """A condition to fail on: `frame:render>30%` looks at B alone, `frame:render>+20%` compares with A.

    A function counts with everything it calls. Of several functions with one name, the largest value counts.
    """

    text: str
    name: str
    op: str
    limit: float
    of: str  # change, difference or value

    def holds(self, changes: Sequence[Change]) -> Change | None:
        """Return the function for which the condition holds; None if there is none."""
        found = [change for change in changes if _is_named(change, self.name)]
        least = self.op[0] == "<"
        for change in sorted(found, key=self._value, reverse=not least):
            value = self._value(change)
            held = {">": value > self.limit, "<": value < self.limit}[self.op[0]]
            if held or (len(self.op) == 2 and value == self.limit):
                return change
        return None

    def _value(self, change: Change) -> float:
        a, b = change.total
        if self.of == "value":
            return b
        if self.of == "difference":
            return b - a
        return b / a - 1.0 if a else math.inf if b else 0.0

    def described(self, change: Change) -> str:
        """Format the condition and the shares in A and B."""
        a, b = (f"{100 * share:.1f}%" for share in change.total)
        return f"{self.text} ({a} → {b} of the time on the loop, {change.site.file}:{change.site.line})"


def is_frame(text: str) -> bool:
    """Whether a text is a condition on a function."""
    return text.lstrip().startswith(PREFIX)


def frame_condition(text: str) -> FrameCondition:
    """Parse a condition. Raises UsageError if the text is not one."""
    match = _CONDITION.match(text)
    if match is None:
        raise UsageError(
            f"--fail-if {text} is not a condition", 'for example --fail-if "frame:render>30%" or "frame:render>+20%"'
        )
    limit = float(match["number"]) * (0.01 if match["unit"] else 1.0) * (-1 if match["sign"] == "-" else 1)
    of = "value" if not match["sign"] else "change" if match["unit"] else "difference"
    return FrameCondition(text, match["name"], match["op"], limit, of)


def _is_named(change: Change, name: str) -> bool:
    file, _, function = name.rpartition(":")
    if file and change.site.file != file and not change.site.file.endswith(f"/{file}"):
        return False
    known = change.site.function
    return known == function or known.endswith(f".{function}")
