"""What many tasks do to a program that is watched: memory, first screen, delays. Figures, not ratios.

* frozen: the memory of a program with 50,000 live tasks, all of which are replaced every four seconds, while nobody
  watches, while a viewer reads, and while a viewer has connected and never reads. What such a viewer costs may grow
  until all tasks it was told of have been replaced, and must stay there: the last two figures are to be compared.
* first screen: 200,000 live tasks; how long from connecting to the first tick, and to the last task.
* delay: how late a timer in the program is, with 10,000 tasks of which 1,000 make ten steps a second: without a
  probe, with one that nobody looks at, and with a viewer. On one core with all threads of the probe, as in `turns`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import viewer
from .processes import ask, cores, end, spawn

if TYPE_CHECKING:
    import socket
    import subprocess
    from collections.abc import Callable

    from .turns import Setup


@dataclass
class Table:
    """Some figures for a person to read."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""


@dataclass
class Sizes:
    """How many tasks, and for how long. The smoke test takes less."""

    frozen: int = 50_000
    churn: int = 12_500
    first: int = 200_000
    delay: int = 10_000
    seconds: float = 5.0


class App:
    """A running `crowd_app`."""

    def __init__(self, setup: Setup, live: int, active: int = 0, churn: int = 0, probe: bool = True) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="bench-")
        arguments = ("probe" if probe else "plain", str(live), str(active), str(churn))
        command = (setup.python, "-m", "benchmarks.crowd_app", *arguments)
        self._process: subprocess.Popen[bytes] = spawn(*command, core=cores()[0], LOOPTOP_DIR=self._directory.name)
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

    def facts(self) -> dict[str, Any]:
        """What the program says about itself since it was last asked."""
        answer: dict[str, Any] = json.loads(ask(self._process, "?"))
        if answer["probe"] != self._probe:
            raise RuntimeError("the probe left the program while it was measured")
        return answer

    def connect(self) -> socket.socket:
        """A connection that says what it looks at, and has read nothing yet."""
        sock = viewer.connect(f"{self._directory.name}/{self._process.pid}.sock")
        self._sockets.append(sock)
        viewer.watch(sock)
        return sock


def read_all(sock: socket.socket) -> None:
    """Reads, in a thread, whatever comes."""

    def read() -> None:
        try:
            while sock.recv(1 << 20):
                pass
        except OSError:
            pass

    threading.Thread(target=read, daemon=True).start()


def frozen(setup: Setup, sizes: Sizes) -> Table:
    """Memory while a viewer does not read."""
    table = Table(
        "frozen", f"Memory of a program with {sizes.frozen:,} live tasks, {sizes.churn:,} replaced a second", []
    )
    table.columns = ["viewer", "before (MiB)", f"after {sizes.seconds:g} s", f"after {2 * sizes.seconds:g} s", "grown"]
    table.note = "A viewer costs what is counted of each task; one that does not read must not cost more with time."
    cases: list[tuple[str, Callable[[App], object]]] = [
        ("none", lambda app: None),
        ("reads", lambda app: read_all(app.connect())),
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
    """How long a viewer waits for what is there."""
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
        table.rows.append(["all tasks", f"{time.monotonic() - started:.1f} s"])
        worst = app.facts()["late"]["1"]
    table.rows.append(["largest frame", f"{largest:,} B"])
    table.rows.append(["frames", f"{count:,}, {sent / 2**20:.1f} MiB"])
    table.rows.append(["worst delay of a timer in the program meanwhile", f"{worst * 1e3:.1f} ms"])
    return table


def delay(setup: Setup, sizes: Sizes) -> Table:
    """How late a timer in the program is."""
    active = sizes.delay // 10
    title = f"How late a timer is in a program with {sizes.delay:,} tasks, {active:,} of them active (ms)"
    table = Table("delay", title, ["", "median", "99 %", "99.9 %", "worst"])
    table.note = "Most of the delay without a probe is the program's own: its tasks wake up in herds."
    cases = [("no probe", False, False), ("no viewer", True, False), ("one viewer", True, True)]
    for name, probe, watched in cases:
        with App(setup, sizes.delay, active, probe=probe) as app:
            if watched:
                read_all(app.connect())
            time.sleep(1.0)
            app.facts()
            time.sleep(sizes.seconds)
            late = app.facts()["late"]
        table.rows.append([name, *[f"{seconds * 1e3:.2f}" for seconds in late.values()]])
    return table


CROWDS: dict[str, Callable[[Setup, Sizes], Table]] = {"frozen": frozen, "first": first_screen, "delay": delay}


def measure_all(names: list[str], setup: Setup, sizes: Sizes) -> list[Table]:
    """The figures of several of CROWDS."""
    tables = []
    for name in names:
        try:
            tables.append(CROWDS[name](setup, sizes))
        except RuntimeError as error:
            tables.append(Table(name, f"{name}: no figures", ["error"], [[str(error)]]))
        sys.stderr.write(f"{name}\n")
    return tables
