"""The hooks in C lose no reference and leave none: counted by a debug build of Python (`make refcheck`)."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
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


READERS = """
    import asyncio, gc, json, sys
    from _thread import start_new_thread
    import probes
    probe = probes.install(trace=1)
    from probes.base.sites import Tables
    from probes.flame.askers import Askers
    from probes.flame.noted import NotedWaits
    from probes.flame.on_loop import OnLoop
    from probes.hooks import install
    from probes.hooks.groups import groups
    from probes.sampling import gc_pauses
    from probes.sampling.sampler import Changes, Sampler
    from probes.trace.ring import Reader

    known = {}
    loop = asyncio.new_event_loop()  # one for all: the history of each is kept for a while

    async def short(label):
        probes.label(label)
        await asyncio.sleep(0)
        sum(range(20000))

    exec(compile("async def fetch(): await asyncio.sleep(0.002)", "/x/site-packages/somepool.py", "exec"))

    async def main():
        await fetch()  # a wait long enough to be described, below an installed package
        for _ in range(20):
            await asyncio.gather(*(short(name) for name in ("red", "blue", None) if name))
            await asyncio.to_thread(sum, range(20000))

    def sampled():
        tables = Tables()
        flame = OnLoop(tables, Askers(tables, known.get))
        flame.sample(1000, start_new_thread, jobs=True)
        assert not flame.why_not, flame.why_not
        loop.run_until_complete(asyncio.sleep(0))
        for _ in range(5):
            flame.look()
            loop.run_until_complete(main())
        assert flame.look().looks
        flame.sample(0, start_new_thread)
        while flame.thread.own:
            loop.run_until_complete(asyncio.sleep(0.001))

    def traced():
        ring = probe.ring
        ring.stop()
        ring.start()
        ring.describe_more(True)
        waits = NotedWaits(Tables())
        waits.switch(True)
        loop.run_until_complete(main())
        assert waits.take()
        loop.run_until_complete(main())
        waits.switch(False)
        gc.collect()
        assert Reader(ring, True).frame()["events"]
        ring.stop()

    def grouped():
        loop.run_until_complete(main())
        for group in [*groups.by_number.values(), *groups.by_site.values()]:
            group.sums, group.slowest(), [group.histogram(which) for which in range(4)]

    def collected():
        gc_pauses.stop()
        gc_pauses.start()
        gc.collect()
        while not gc_pauses.take()[1]: gc.collect()  # the probe's thread takes them, too
        assert gc_pauses.by_generation()[2][1]

    async def rest():
        resting.extend(asyncio.create_task(asyncio.sleep(600)) for _ in range(150))
        await asyncio.sleep(0)
        while len(install.changed):  # until the probe's thread has taken them
            await asyncio.sleep(0.01)
        for record in install.walk(install.records):
            table[record.id] = record

    resting, table = [], install.new_table()
    loop.run_until_complete(rest())
    # The sampler takes changed records when it is due, and keeps what ended until that is full: not while one counts.
    Sampler.sample = lambda self: Changes()

    def walked():
        for _ in range(10):
            assert len(list(install.walk(table))) >= 150
            assert len(memoryview(table.keys()).cast("q")) == len(table)
        for record in table.take(100): table[record.id] = record
        assert table.part(0, 1000)[0]

    found = {}
    for work in (sampled, traced, grouped, collected, walked):
        counts = []
        for _ in range(16):
            work()
            install.changed.clear()
            gc.collect()
            counts.append(sys.gettotalrefcount())
        found[work.__name__] = counts
    print(json.dumps(found))
"""


@pytest.mark.timeout(600)
def test_what_reads_gives_back(tmp_path: Path) -> None:
    """Samples, the step ring, groups: used and put away many times."""
    script = tmp_path / "readers.py"
    script.write_text(textwrap.dedent(READERS))
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "LOOPTOP_DIR": str(tmp_path / "run")}
    done = subprocess.run([PYTHON, script], env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for what, counts in json.loads(done.stdout).items():
        grown = sorted(after - before for before, after in pairwise(counts[3:]))
        # The probe's own thread takes and gives back in between; samples meet new lines. A task that loses one: 40 or more.
        assert grown[len(grown) // 4] <= (40 if what == "sampled" else 4), (what, grown)
