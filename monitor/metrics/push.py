"""Pushes to an OTLP collector from a thread of its own, so that one that is down or slow holds up nothing."""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.metrics.aggregate import Point
    from monitor.metrics.collector import Collector
    from monitor.metrics.otlp import Exporter
    from monitor.metrics.otlp_events import EventExporter

_REASON = re.compile(r"\[Errno -?\d+\] ([\w ]+)|(code: \d+, reason: [\w ]+)")
MOST_WAITING = 10_000
"""Log records, and tasks to be sent as spans, that wait while nothing is accepted; the oldest are dropped."""


class Waiting:
    """What is still to be sent, by worker. Anything but metrics, whose last values hold all that went before."""

    def __init__(self) -> None:
        self.things: list[tuple[int, Any]] = []
        self.dropped = 0

    def add(self, things: Sequence[tuple[int, Any]]) -> None:
        """Add the newest things; the oldest are dropped if too many wait."""
        self.things += things
        self.dropped += max(len(self.things) - MOST_WAITING, 0)
        del self.things[:-MOST_WAITING]

    def by_worker(self) -> dict[int, list[Any]]:
        """What waits to be sent by slot of the worker, the oldest first."""
        found: dict[int, list[Any]] = {}
        for worker, thing in self.things:
            found.setdefault(worker, []).append(thing)
        return found


class Pusher:
    """Sends the values of all workers, and what they report, whenever `push` is called."""

    def __init__(
        self, metrics: Exporter, events: EventExporter | None, spans: int, url: str, say: Callable[[str], None]
    ) -> None:
        """`spans`: of how many tasks per worker. `say` is called when nothing is accepted, and when it is again."""
        self._metrics = metrics
        self._events = events
        self._spans = spans
        self._url = url
        self._say = say
        self._logs, self._tasks = Waiting(), Waiting()  # while the thread runs they are its own
        self._fails = False
        self._thread: threading.Thread | None = None
        self._complaints = Complaints()
        logging.getLogger("opentelemetry").addHandler(self._complaints)

    def push(self, collector: Collector) -> None:
        """Send all current values in the background; nothing while those of the last time are under way."""
        if self._thread is not None and self._thread.is_alive():
            return  # the collector keeps a bounded number of events meanwhile
        if self._events is not None:
            news, reasons = collector.report(self._spans)
            self._logs.add([(worker, one) for worker, those in news.items() for one in those])
            self._tasks.add([(worker, one) for worker, those in reasons.items() for one in those])
        self._thread = threading.Thread(target=self._send, args=(collector.points(),), name="looptop-push", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give up what is under way."""
        self._metrics.close()
        if self._events is not None:
            self._events.close()
        if self._thread is not None:
            self._thread.join(1.0)
        logging.getLogger("opentelemetry").removeHandler(self._complaints)

    def _send(self, points: Sequence[Point]) -> None:
        self._complaints.first = ""
        taken = self._metrics.push(points)
        if self._events is not None:
            if self._events.push_logs(self._logs.by_worker()):
                self._logs.things.clear()
            else:
                taken = False
            if self._events.push_spans(self._tasks.by_worker()):
                self._tasks.things.clear()
            else:
                taken = False
        if not taken and not self._fails:
            why = f" ({self._complaints.first})" if self._complaints.first else ""
            self._say(f"{self._url} does not accept what is pushed{why}: trying again at each interval")
        elif taken and self._fails:
            dropped = self._logs.dropped + self._tasks.dropped
            lost = f"; {dropped} log records and spans were dropped meanwhile" if dropped else ""
            self._say(f"{self._url} accepts what is pushed again{lost}")
        if taken:
            self._logs.dropped = self._tasks.dropped = 0
        self._fails = not taken


class Complaints(logging.Handler):
    """Keeps the first complaint of opentelemetry's exporters, which would print each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what matters of it, unless there is one."""
        text = " ".join(record.getMessage().split())
        found = _REASON.search(text)
        self.first = self.first or (text[:100] if found is None else found[1] or found[2])
