"""The cost of watching many tasks: memory, first screen, delays. Figures, not ratios.

* frozen: the memory of a program with 50,000 live tasks, all of which are replaced every four seconds, while nobody
  watches, while a viewer reads, and while a viewer has connected and never reads. The cost of such a viewer may grow
  until all tasks that it received have been replaced, and not further: compare the last two figures.
* first screen: 200,000 live tasks; how long from connecting to the first tick, and to the last task.
* crowd: 100,000 live tasks of which 1,000 make ten steps a second, without a probe, with one and no viewer, and
  with a viewer: memory of the probe, how late a timer in the program is, bytes sent to the viewer.
* births: the same while a million tasks a minute start and end.

All threads of the program are on one core, as in `turns`; viewers have the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import viewer
from .processes import ROOT, ask, cores, end, spawn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .turns import Setup

    Tables = dict[str, Callable[[Setup, "Sizes"], "Table"]]

USUAL = {
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "PYTHONDONTWRITEBYTECODE": "",
}
"""Memory is measured here: freed memory is returned to the system as in other programs, and the probe is compiled, as
an installed one is. Compiling it leaves a MiB that Python keeps."""
MOST_BYTES = 250
FEW = 1000
"""Tasks of a program that shows the fixed cost of a probe."""
MOST_DELAY = 0.005
MOST_STREAM = 200_000
LONGER = 3
"""`births` runs this many times as long as the others: the worst delays are garbage collections, and the 99.9th
percentile of a few of them would be chance."""


@dataclass
class Table:
    """A table of figures for the report."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""
    missed: list[str] = field(default_factory=list)

    def check(self, what: str, value: float, limit: float) -> None:
        """Records a figure that is over its limit."""
        if value > limit:
            self.missed.append(f"{what}: {value:.3g} instead of {limit:g}")


@dataclass
class Sizes:
    """How many tasks, and for how long. The smoke test uses smaller sizes."""

    frozen: int = 50_000
    churn: int = 12_500
    first: int = 100_000
    crowd: int = 100_000
    births: int = 16_700
    living: int = 10_000
    seconds: float = 5.0
    starts: int = 11


class App:
    """A running `crowd_app` process and its measured CPU time."""

    def __init__(self, setup: Setup, live: int, active: int = 0, churn: int = 0, probe: bool = True) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="bench-")
        arguments = ("probe" if probe else "plain", str(live), str(active), str(churn))
        command = (setup.python, "-m", "benchmarks.crowd_app", *arguments)
        self._process: subprocess.Popen[bytes] = spawn(
            *command, core=cores()[0], LOOPTOP_DIR=self._directory.name, **USUAL
        )
        self._sockets: list[socket.socket] = []
        self._probe = probe

    def __enter__(self) -> App:
        ask(self._process)
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)
        for sock in self._sockets:
            sock.close()
        self._directory.cleanup()

    @property
    def pid(self) -> int:
        """The pid of the program."""
        return self._process.pid

    @property
    def directory(self) -> str:
        """The program's own LOOPTOP_DIR."""
        return self._directory.name

    def facts(self) -> dict[str, Any]:
        """What the program has measured since the previous call."""
        answer: dict[str, Any] = json.loads(ask(self._process, "?"))
        if answer["probe"] != self._probe:
            raise RuntimeError("the probe left the program while it was measured")
        return answer

    def connect(self) -> socket.socket:
        """A connection that has subscribed and has read nothing yet."""
        sock = viewer.connect(f"{self._directory.name}/{self._process.pid}.sock")
        self._sockets.append(sock)
        viewer.watch(sock)
        return sock


class Reader:
    """A viewer that reads everything in a thread."""

    def __init__(self, sock: socket.socket) -> None:
        self.bytes = 0
        self._all = threading.Event()
        threading.Thread(target=self._read, args=(sock,), daemon=True).start()

    def _read(self, sock: socket.socket) -> None:
        tail = b""
        try:
            while data := sock.recv(1 << 20):
                self.bytes += len(data)
                if not self._all.is_set():
                    if b'"left":0,' in tail + data:
                        self._all.set()
                    tail = data[-20:]
        except OSError:
            pass

    def until_all_are_there(self) -> None:
        """Waits until it has received every task."""
        if not self._all.wait(60):
            raise RuntimeError("a viewer did not receive all tasks within 60 s")


def frozen(setup: Setup, sizes: Sizes) -> Table:
    """Memory while a viewer does not read."""
    table = Table(
        "frozen", f"Memory of a program with {sizes.frozen:,} live tasks, {sizes.churn:,} replaced a second", []
    )
    table.columns = ["viewer", "before (MiB)", f"after {sizes.seconds:g} s", f"after {2 * sizes.seconds:g} s", "grown"]
    table.note = "A viewer costs a fixed amount per task; one that does not read must not cost more over time."
    cases: list[tuple[str, Callable[[App], object]]] = [
        ("none", lambda app: None),
        ("reads", lambda app: Reader(app.connect())),
        ("never reads", lambda app: app.connect()),
    ]
    for name, begin in cases:
        with App(setup, sizes.frozen, churn=sizes.churn) as app:
            time.sleep(sizes.seconds / 2)
            sizes_of = [app.facts()["rss"]]
            begin(app)
            for _ in range(2):
                time.sleep(sizes.seconds)
                sizes_of.append(app.facts()["rss"])
        grown = sizes_of[-1] - sizes_of[0]
        table.rows.append([name, *[f"{size / 2**20:.1f}" for size in sizes_of], f"{grown / 2**20:+.1f}"])
    return table


def first_screen(setup: Setup, sizes: Sizes) -> Table:
    """How long a viewer waits for all existing tasks."""
    table = Table("first screen", f"A viewer connects to a program with {sizes.first:,} live tasks", ["what", "figure"])
    with App(setup, sizes.first) as app:
        started = time.monotonic()
        first, largest, count, sent = 0.0, 0, 0, 0
        for line in viewer.lines(app.connect()):
            largest, count, sent = max(largest, len(line) + 1), count + 1, sent + len(line) + 1
            if not viewer.is_tick(line):
                continue
            tick = json.loads(line)
            first = first or time.monotonic() - started
            if not tick["left"]:
                break
        table.rows.append(["first tick", f"{first * 1e3:.0f} ms"])
        table.check("first tick (s)", first, 0.5)
        table.rows.append(["all tasks", f"{time.monotonic() - started:.1f} s"])
        worst = app.facts()["late"]["1"]
    table.rows.append(["largest frame", f"{largest:,} B"])
    table.rows.append(["frames", f"{count:,}, {sent / 2**20:.1f} MiB"])
    table.rows.append(["worst delay of a timer in the program meanwhile", f"{worst * 1e3:.1f} ms"])
    return table


MODES = (("no probe", False, False), ("no viewer", True, False), ("one viewer", True, True))


def crowd(setup: Setup, sizes: Sizes) -> Table:
    """Many tasks of which few are active: memory, delays, stream."""
    active = sizes.crowd // 100
    title = f"{sizes.crowd:,} live tasks, of which {active:,} make ten steps a second"
    columns = [
        "",
        "B a task",
        "and at once (MiB)",
        "timer late: median (ms)",
        "99 %",
        "99.9 %",
        "worst",
        "stream (KB/s)",
    ]
    table = Table("crowd", title, columns)
    table.note = (
        f"Targets: {MOST_BYTES} B per task in addition to the task itself (beside it, what a program with {FEW:,} "
        f"tasks pays as well: threads, modules, tables); a 99.9th percentile at most {MOST_DELAY * 1e3:g} ms above "
        f"that without a probe; {MOST_STREAM / 1e3:g} KB/s. The program has a timer of 5 ms. A record takes 208 B "
        "(212 with what the allocator adds), and its places in the tables of tasks and of ids 10 to 20 each. The rest "
        "is what allocators have reserved: measured is resident memory. Of what is paid at once, 4 MiB are the step "
        "ring, which is full here, 3.3 to 3.7 the modules of the probe and its threads, 0.6 to 0.8 the black box."
    )
    before, before_few, usual = 0, 0, 0.0
    _compile(setup.python)
    for name, probe, watched in MODES:
        few = _memory_of_few(setup, probe, watched)
        with App(setup, sizes.crowd, active, probe=probe) as app:
            reader = Reader(app.connect()) if watched else None
            if reader is not None:
                reader.until_all_are_there()
            time.sleep(1.0)
            app.facts()
            begun = 0 if reader is None else reader.bytes
            time.sleep(sizes.seconds)
            stream = 0.0 if reader is None else (reader.bytes - begun) / sizes.seconds
            facts = app.facts()
            before, before_few = before or facts["rss"], before_few or few
            at_once = few - before_few
            each = (facts["rss"] - before - at_once) / max(sizes.crowd - FEW, 1)
            memory = [f"{each:.0f}", f"{at_once / 2**20:.1f}"] if probe else ["–", "–"]
            cells = [*memory, *_late(facts), f"{stream / 1e3:.0f}" if watched else "–"]
            table.rows.append([name, *cells])
            usual = usual or facts["late"]["0.999"]
            table.check(f"{name}: bytes a task", each, MOST_BYTES)
            table.check(f"{name}: delay, 99.9 % (ms)", (facts["late"]["0.999"] - usual) * 1e3, MOST_DELAY * 1e3)
            table.check(f"{name}: stream (KB/s)", stream / 1e3, MOST_STREAM / 1e3)
            if watched:
                table.rows.append([_json_of_all(app, table), *["–"] * 7])
    return table


def _compile(python: str) -> None:
    """Writes the bytecode of the probe, unless it is there."""
    environ = {**os.environ, **USUAL, "PYTHONPATH": str(ROOT)}
    subprocess.run([python, "-c", "import probes.probe, probes.start"], cwd=ROOT, env=environ, check=True)


def _memory_of_few(setup: Setup, probe: bool, watched: bool) -> int:
    """Resident bytes of the same program with few tasks."""
    with App(setup, FEW, FEW // 100, probe=probe) as app:
        if watched:
            Reader(app.connect()).until_all_are_there()
        time.sleep(1.5)
        size: int = app.facts()["rss"]
        return size


def _json_of_all(app: App, table: Table) -> str:
    """The time that `looptop tasks --json` takes."""
    started = time.monotonic()
    command = [sys.executable, "-m", "monitor", "tasks", str(app.pid), "--json"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "LOOPTOP_DIR": app.directory}, capture_output=True)
    took = time.monotonic() - started
    count = len(json.loads(done.stdout)["tasks"]) if done.returncode == 0 else 0
    table.check("looptop tasks --json (s)", took, 3.0)
    return f"`looptop tasks --json`: {count:,} tasks in {took:.1f} s"


def births(setup: Setup, sizes: Sizes) -> Table:
    """Tasks start and end all the time: delays, stream, growth."""
    title = f"{sizes.births * 60:,} tasks a minute are born and end, {sizes.living:,} live"
    columns = [
        "",
        "grown in the second half (MiB)",
        "timer late: median (ms)",
        "99 %",
        "99.9 %",
        "worst",
        "stream (KB/s)",
    ]
    table = Table("births", title, columns)
    table.note = (
        "Targets as above. Delays of more than 5 ms are mostly the program's garbage collector, which "
        "visits all tasks every other second, with or without a probe: the 99.9th percentile is about the length of "
        "that. With a viewer it takes longer where the probe's objects lie between the program's (1.1 times), and "
        "the probe's thread, which waited for it, runs next."
    )
    usual = 0.0
    seconds = sizes.seconds * LONGER
    for name, probe, watched in MODES:
        with App(setup, sizes.living, 0, sizes.births, probe=probe) as app:
            reader = Reader(app.connect()) if watched else None
            time.sleep(seconds / 2)
            resident = app.facts()["rss"]
            begun = 0 if reader is None else reader.bytes
            time.sleep(seconds)
            facts = app.facts()
            stream = 0.0 if reader is None else (reader.bytes - begun) / seconds
            grown = (facts["rss"] - resident) / 2**20
            table.rows.append([name, f"{grown:+.1f}", *_late(facts), f"{stream / 1e3:.0f}" if watched else "–"])
            usual = usual or facts["late"]["0.999"]
            table.check(f"{name}: delay, 99.9 % (ms)", (facts["late"]["0.999"] - usual) * 1e3, MOST_DELAY * 1e3)
            table.check(f"{name}: stream (KB/s)", stream / 1e3, MOST_STREAM / 1e3)
    return table


def _late(facts: dict[str, Any]) -> list[str]:
    return [f"{seconds * 1e3:.2f}" for seconds in facts["late"].values()]


CROWDS: Tables = {
    "frozen": frozen,
    "first": first_screen,
    "crowd": crowd,
    "births": births,
}


def measure_all(names: list[str], tables: Tables, setup: Setup, sizes: Sizes) -> list[Table]:
    """The figures of the named tables."""
    found = []
    for name in names:
        try:
            found.append(tables[name](setup, sizes))
        except RuntimeError as error:
            found.append(Table(name, f"{name}: no figures", ["error"], [[str(error)]]))
        sys.stderr.write(f"{name}\n")
    return found
