"""Pushing OTLP to a collector that is down, hangs, and comes back."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from waiting import wait_until

from monitor.metrics import push
from monitor.metrics.push import Complaints, Pusher, Waiting

if TYPE_CHECKING:
    import pytest


class Collector:
    """Has one value, and one log record at each look."""

    def __init__(self) -> None:
        self.looks = 0

    def points(self) -> list[Any]:
        return []

    def report(self, slowest: int) -> tuple[dict[int, list[Any]], dict[int, list[Any]]]:
        self.looks += 1
        return {0: [f"log {self.looks}"]}, {0: [f"span {self.looks}"] * slowest}


class Exporter:
    """Takes what it gets, or not."""

    def __init__(self) -> None:
        self.takes = True
        self.hangs = threading.Event()
        self.hangs.set()
        self.pushes = 0
        self.logs: list[str] = []
        self.spans: list[str] = []

    def push(self, _points: object) -> bool:
        self.pushes += 1
        self.hangs.wait(60)
        return self.takes

    def push_logs(self, news: dict[int, list[str]]) -> bool:
        self.logs += news.get(0, []) if self.takes else []
        return self.takes

    def push_spans(self, reasons: dict[int, list[str]]) -> bool:
        self.spans += reasons.get(0, []) if self.takes else []
        return self.takes

    def close(self) -> None:
        pass


def test_what_is_not_accepted_waits_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "MOST_WAITING", 3)
    collector, exporter = Collector(), Exporter()
    said: list[str] = []
    exporter_of_both: Any = exporter
    pusher = Pusher(exporter_of_both, exporter_of_both, 1, "http://otel", said.append)

    def pushed() -> None:
        looks = collector.looks
        pusher.push(collector)  # type: ignore[arg-type] - all that it uses
        assert collector.looks == looks + 1
        wait_until(lambda: pusher._thread is not None and not pusher._thread.is_alive(), "the end of a push")

    pushed()
    assert (exporter.logs, exporter.spans, said) == (["log 1"], ["span 1"], [])
    exporter.takes = False
    for _ in range(5):
        pushed()
    assert said == ["http://otel does not accept what is pushed: trying again at each interval"]
    exporter.takes = True
    pushed()
    assert exporter.logs[1:] == ["log 5", "log 6", "log 7"]
    assert said[1:] == ["http://otel accepts what is pushed again; 6 log records and spans were dropped meanwhile"]
    exporter.hangs.clear()
    pusher.push(collector)  # type: ignore[arg-type]
    wait_until(lambda: exporter.pushes == 8, "a push")
    for _ in range(3):
        pusher.push(collector)  # type: ignore[arg-type] - one is under way
    assert (exporter.pushes, collector.looks) == (8, 8)
    exporter.hangs.set()
    pusher.close()


def test_the_reason_is_short() -> None:
    for text, reason in (
        (
            "Transient error HTTPConnectionPool(x): Caused by (y: [Errno 111] Connection refused')) while",
            "Connection refused",
        ),
        ("Failed to export metrics batch code: 401, reason: Unauthorized", "code: 401, reason: Unauthorized"),
        ("x" * 1000, "x" * 100),
    ):
        complaints = Complaints()
        complaints.handle(logging.makeLogRecord({"msg": text}))
        complaints.handle(logging.makeLogRecord({"msg": "another"}))
        assert complaints.first == reason


def test_waiting() -> None:
    waiting = Waiting()
    waiting.add([(0, "a"), (1, "b"), (0, "c")])
    assert waiting.by_worker() == {0: ["a", "c"], 1: ["b"]}
