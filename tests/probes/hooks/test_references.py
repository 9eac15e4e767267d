"""The hooks in C lose no reference and leave none: counted by a debug build of Python (`make refcheck`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from test_twins import EXAMPLES, SCHEDULES, Worker

PYTHON = os.environ.get("DEBUG_PYTHON", "")

pytestmark = pytest.mark.skipif(not PYTHON, reason="no debug build of Python: `make refcheck` runs this on one")

CALLBACKS = ("fine", "raise", "cancel", "cancel and raise", "cancelled")
CHILD: list[Any] = [["sleep"], ["doze"], ["look"], ["fail"]]
EVERYTHING: list[Any] = [
    ["slow", True],
    ["spawn", None, CHILD],
    ["spawn", "a name", CHILD],
    ["slow", False],
    ["watch", True, 3],
    ["spawn_by_loop", CHILD],
    ["direct", CHILD],
    ["thread", [["spawn", None, CHILD], ["soon", "raise"], ["sleep"]]],
    ["gather", [CHILD, CHILD]],
    ["group", [CHILD, [["doze"], ["doze"]]]],
    *[[how, what] for how in ("soon", "threadsafe", "soon_in_a_context") for what in CALLBACKS],
    ["sleep"],
    ["future", True],
    ["future", False],
    ["timeout"],
    ["factory", "own"],
    ["spawn", None, CHILD],
    ["spawn", "a name", [["doze"], ["doze"]]],
    ["factory", "none"],
    ["cancel", 0],
    ["cancel", 3],
    ["look"],
    ["sweep"],
    ["debug", True],
    ["soon", "raise"],
    ["spawn", None, CHILD],
    ["sleep"],
    ["debug", False],
    ["forget"],
    ["watch", False, 0],
    ["spawn", None, CHILD],
    ["wait", 1],
]


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(PYTHON, "watched", pure=False)
    try:
        assert worker.hooks == "C"
        yield worker
    finally:
        worker.end()


def grown(worker: Worker, schedule: list[Any], times: int = 8) -> list[int]:
    """By how many references the process has grown with each of the last runs of a schedule."""
    counts = [worker.run(schedule)["references"] for _ in range(times)]
    return [after - before for before, after in zip(counts[-4:], counts[-3:], strict=False)]


def steady(worker: Worker, schedule: list[Any]) -> bool:
    """Whether a schedule leaves no reference behind. Caches of the interpreter may grow once, not each time."""
    return any(0 in grown(worker, schedule) for _ in range(3))


@pytest.mark.timeout(600)
def test_what_a_hook_takes_it_gives_back(worker: Worker) -> None:
    schedule = [["watch", True, 0], *EVERYTHING]
    assert steady(worker, schedule), grown(worker, schedule)


@pytest.mark.timeout(1200)
def test_whatever_a_program_does(worker: Worker) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=EXAMPLES < 100,
        phases=(Phase.explicit, Phase.generate),  # each try takes long where something leaks
    )
    @given(SCHEDULES)
    def check(schedule: list[Any]) -> None:
        watched = [["watch", True, 0], *schedule]
        assert steady(worker, watched), grown(worker, watched)

    check()
