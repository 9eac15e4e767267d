"""What a rule sees, and what becomes of it: a sign of a moment, a finding that lasts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.findings.kinds import BY_KEY, Kind
from monitor.store.model import Site

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

Figure = float | int | str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the program that belongs to a finding, with what is said of it."""

    text: str
    site: Site | None
    task: int | None = None
    name: str | None = None  # of that task

    @property
    def is_frame(self) -> bool:
        """Whether it is one frame of a stack, outermost first: nothing is said of it."""
        return self.site is not None and not self.text and self.task is None and self.name is None


@dataclass(frozen=True, slots=True)
class Observation:
    """What a rule sees now. `subject` is the same from look to look.

    A sign that is not `strong` lies near the threshold: it keeps a finding, and does not make one. `at_once` ones
    need not last: the rule has looked at a whole stretch of time already.
    """

    kind: str
    subject: Hashable
    text: str  # one line: what is the matter, with figures
    strong: bool = True
    at_once: bool = False
    task: int | None = None
    name: str | None = None
    site: Site | None = None
    lines: tuple[Line, ...] = ()
    evidence: Mapping[str, Figure] = field(default_factory=dict)
    since: float | None = None  # where the rule knows it better than the first look that saw it


@dataclass(slots=True)
class Finding:
    """Something that is wrong with the program, as long as it is."""

    id: int
    sign: Observation  # the newest
    since: float
    seen: float  # when its cause was last seen
    dismissed: bool = False

    @property
    def kind(self) -> Kind:
        """What kind it is of."""
        return BY_KEY[self.sign.kind]
