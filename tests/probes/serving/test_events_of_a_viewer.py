"""Which events of the journal a viewer gets, and how it can tell those it did not ask for from those that were lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from probes.sampling.journal import Journal
from probes.serving.session import Session


def sent(session: Session) -> list[tuple[int, int]]:
    return [(event["seq"], event.get("skipped", 0)) for event in session._events()]


def host(journal: Journal) -> Any:
    return MagicMock(settings=SimpleNamespace(slow=0.1), journal=journal)


def test_events_not_asked_for_are_counted_apart_from_lost_ones() -> None:
    journal = Journal(4)
    session = Session(host(journal))
    journal.add("notice", text="first")
    for duration in (50_000, 30_000):  # another viewer wanted these
        journal.add("slow_callback", duration=duration)
    assert sent(session) == [(1, 0)]
    journal.add("slow_callback", duration=20_000)
    journal.add("slow_callback", duration=200_000)
    assert sent(session) == [(5, 3)]
    session.watch.events = frozenset({"task_ended"})
    journal.add("notice", text="second")
    for _ in range(6):
        journal.add("task_ended", outcome="done")
    assert sent(session) == [(9, 1), (10, 0), (11, 0), (12, 0)]
    assert session._missed == 2, "the ring had room for four"


def test_what_fell_out_of_the_rings_before_a_viewer_came_is_not_missed() -> None:
    journal = Journal(400)
    journal.add("notice", text="old")
    for number in range(2000):
        journal.add("task_ended", outcome="failed" if number < 350 else "done")
    session = Session(host(journal))
    total, came = len(journal.since(0)), 0
    while session._last_event < journal.last_seq:
        came += len(session._events())
        assert session._events_left == total - came, "a viewer knows how many are still to come"
    assert session._missed == 0
