"""Collects what a worker has to report besides metrics: findings, slow callbacks, why its slowest tasks were late."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.findings.rules.engine import Findings
from monitor.trace.collect import Trace
from monitor.trace.explain import explain, slowest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.protocol.frames import Frame
    from monitor.store.model import Site
    from monitor.store.store import Store
    from monitor.trace.explain import Reason

MOST_NEWS = 1000
"""Limit of events between two calls of `news`; the oldest are dropped."""
MOST_EVENTS = 400_000
"""Limit of step events kept for one worker."""


@dataclass(frozen=True, slots=True)
class News:
    """One event to report. `at`: Unix time; `bad`: something is broken."""

    at: float
    name: str
    text: str
    site: Site | None
    bad: bool
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)


class Reporter:
    """The findings, slow callbacks and steps of one worker, from the frames that its store has applied."""

    def __init__(self, store: Store, *, logs: bool, spans: bool) -> None:
        self.store = store
        self._findings = Findings() if logs else None
        self._trace = Trace(store, MOST_EVENTS) if spans else None
        self._news: deque[News] = deque(maxlen=MOST_NEWS)
        self._seen = store.last_seq
        self._reported = 0

    def take(self, frame: Frame) -> None:
        """Read a frame that the store has applied."""
        if self._trace is not None:
            self._trace.take(frame)
        if self._findings is None:
            return
        for slow in self.store.slow.since(self._seen):
            self._seen = slow.seq
            attributes: dict[str, str | int | float] = {"duration": slow.duration, "task": slow.task or 0}
            text = f"a callback took {slow.duration:.3g} s"
            self._news.append(News(slow.at, "slow_callback", text, slow.line, bad=False, attributes=attributes))
        for change in self._findings.evaluate(self.store):
            seen, gone = change.finding.observed, change.what == "finding_gone"
            facts = {key: value for key, value in seen.evidence.items() if isinstance(value, (str, int, float))}
            text = f"ended: {seen.text}" if gone else seen.text
            bad = not gone and change.finding.kind.weight == "bad"
            self._news.append(News(change.at, f"finding.{seen.kind}", text, seen.site, bad, facts))

    def news(self) -> list[News]:
        """Return the events since the last call."""
        found = list(self._news)
        self._news.clear()
        return found

    def slowest(self, count: int) -> list[Reason]:
        """Explain the slowest tasks that ended since the last call, and drop the steps from before that call."""
        if self._trace is None:
            return []
        timeline, before = self._trace.timeline, self._reported
        self._trace.name_live_tasks()
        ended = [life for life in slowest(timeline, len(timeline.lives)) if (life.ended or 0) > before]
        found = [explain(timeline, life) for life in ended[:count]]
        timeline.drop_before(before)
        self._reported = timeline.end
        return found
