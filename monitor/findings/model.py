"""The observation that a rule makes at one moment, and the finding that observations add up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.findings.kinds import BY_KEY, Kind
from monitor.store.model import Site
from monitor.store.task_names import title

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

Figure = float | int | str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the program that belongs to a finding, with a remark about it."""

    text: str
    site: Site | None
    task: int | None = None
    name: str | None = None  # of that task, as its coroutine and label
    coro: str = ""
    label: str | None = None

    @property
    def who(self) -> str:
        """The task, as it is named everywhere; empty if it is about none."""
        return title(self.task, self.name, self.coro, self.label)

    @property
    def is_frame(self) -> bool:
        """Whether it is one frame of a stack (listed outermost first), without a remark."""
        return self.site is not None and not self.text and self.task is None and self.name is None


@dataclass(frozen=True, slots=True)
class Observation:
    """What a rule detects at one moment. `subject` identifies it from one evaluation to the next.

    An observation that is not `strong` is near the threshold: it keeps a finding alive but does not start one. One
    that is `at_once` need not last: the rule has looked at a window of time already.
    """

    kind: str
    subject: Hashable
    text: str  # the problem in one line, with figures
    strong: bool = True
    at_once: bool = False
    task: int | None = None
    name: str | None = None  # of that task, as its coroutine and label
    coro: str = ""
    label: str | None = None
    site: Site | None = None
    lines: tuple[Line, ...] = ()
    evidence: Mapping[str, Figure] = field(default_factory=dict)
    since: float | None = None  # if the rule knows it better than the first evaluation that saw it


@dataclass(slots=True)
class Finding:
    """A problem of the program, from its first report until it has stayed away for the hold time."""

    id: int
    observed: Observation  # the newest
    since: float
    seen: float  # when its cause was last seen
    dismissed: bool = False

    @property
    def kind(self) -> Kind:
        """The declaration of its kind."""
        return BY_KEY[self.observed.kind]
