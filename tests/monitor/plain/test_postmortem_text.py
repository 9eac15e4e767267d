"""What `looptop postmortem` says beside the tasks."""

from __future__ import annotations

from monitor.plain.postmortem import left_out
from monitor.store.store import Store


def test_tasks_that_did_not_fit_into_a_box_are_counted() -> None:
    store = Store()
    assert left_out(store) == []
    store.probe.tasks = 20_001
    assert left_out(store) == ["only 0 of 20,001 tasks fitted into the black box (a larger LOOPTOP_BOX holds more)"]
