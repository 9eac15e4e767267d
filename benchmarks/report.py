"""Turns results into text for a terminal, JSON, and docs/cost.md."""

from __future__ import annotations

import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .processes import ROOT, cores
from .turns import CONTROL, PURE, UNWATCHED, WATCHED, Ratios

if TYPE_CHECKING:
    from .crowds import Table
    from .works import Work

COLUMNS = [
    "work",
    "A/A control",
    "always on",
    "target",
    "one viewer",
    "target",
    "pure Python, one viewer",
    "target",
]

METHOD = """\
Ratios of CPU time to the same program without a probe: median and, in brackets, quartiles over the rounds.
Each workload runs in five processes on one core, which take turns in slices of 60 ms, in shuffled order: two without a
probe (the A/A control: differences by chance), one with a probe that is always on, one with a probe and a viewer
at the default rate of 4 ticks per second of its running time, and the same with the hooks in Python (`LOOPTOP_PURE=1`;
all others use those in C). Ratios below 1: the hooks in C do in one call what asyncio does in several Python calls.
The CPU time of the whole process is counted, including the
probe's threads; viewers and HTTP clients are processes on the other core. All processes are restarted three times.
For empty tasks the first 2.7 s with a viewer are not counted: a viewer that connects while 500,000 tasks are born per
second costs some 0.4 s of CPU time once, to catch up.
glibc is set to keep freed memory: otherwise the position of the end of the heap can double the cost of reading a
socket.
"""

INTRO = """\
# What watching costs

Written by `python -m benchmarks --write`; do not edit. The workloads do as little as possible in each step, so these
are worst cases: the more a program does per step, the closer its ratio is to 1.
"""


PEERS = """Ratios of CPU time as above. A sampler such as py-spy runs in a separate process on the other core,
which is not counted here; it sees threads and lines, not tasks.
"""


WHY = """\
### Why

* **aiohttp requests.** All that a request does for looptop, it does once: who made its task, its label and status, its
  groups, three events of the step ring, seven clock readings. That is 3 to 5 % of a server that does nothing else; the
  parts are [below](#where-the-cost-comes-from). On 3.11, where such a request is a new task and three steps of Python
  code of asyncio, the hooks save as much.
* **On uvloop** the same, and nothing is saved: its own `call_soon` is compiled.
* **Pure, one viewer**: the hooks in Python, for Pythons without those in C. A task that does nothing takes twice the
  time where Python code notes its birth; a callback of a transport is timed by bytecode.
* **Many tasks**: memory comes in pieces of 1 MiB, so the same program gets 241 to 261 B a task. Delays while tasks
  are born and end are mostly those of the program's garbage collector; without a probe one run had 17 ms, another 40.
"""


REST = """\
## Where the cost comes from

Instruction counts do not depend on load. Where a target above is not met, they explain the difference.
"""

CAUSES = """\
**Always on, hooks in C.** Step hooks, groups and history are in from the start; what runs per task and step is the
same as with a viewer, and takes fewer instructions than asyncio's own Python methods, whose place it takes; with the
step hooks alone, of a program without a probe 0.82 on empty tasks, 0.66 on bare steps, 0.83 on a queue (3.11). Where
the CPU time is higher all the same, the cause is memory (see below), a new task that asyncio makes without Python
code (`asyncio.Task(..., eager_start=True)`, as aiohttp does on 3.12 and later: its birth, its group and its label are
added to a request that is one step), or uvloop (see below).

An aiohttp request on 3.12 takes 118,000 instructions on uvloop and some 4,500 more with always on; on asyncio 136,000
and some 3,000 more (callgrind, 10 connections). They are for the request's own task: its label and status, three
attributes of request, route and response (800 to 1,000); three events of the step ring, two on uvloop (450 to 700); who
made it, and where (500); seven clock readings (500); counting four durations in two groups (400); the hook of
`Task.__init__` (350); whether it is done, cancelled or failed (100). On uvloop its step adds 1,100: an object, two
clock reads and the accounting; on asyncio the hooks save as much again. Until references to immortal objects were left
uncounted, as the interpreter leaves them from 3.12 on, each use of `None` in the program's own code was counted with a
probe in: 450 to 900 instructions of a request on uvloop; and on 3.13 the probe's JSON encoder slowed each `json.dumps`
of the program by 300. Neither could be seen on 3.11. What remains differs from process to process, with and without a
probe: the interpreter's table of type attributes has 4,096 places that depend on addresses, and where two of a request
share one, each request takes up to 4,500 instructions more. No record is made of a request that ends in its first step
and is not reported by name. Nearly all of these instructions run once in a request, which misses the instruction cache
(32 KiB) some 6,900 times in all, and several hundred times more with always on; so the time grows by more than the
count: by 3.6 to 4.2 % in the program's thread. Of that the step ring is 1.9 (3.12, quiet, before it wrote three events
instead of four). The probe's own threads take 0.9 % of a core at 31,000 requests a second: the watchdog, 20 looks a
second, 0.4; the sampler with the black box 0.5.

**A resting program** is woken little. With 50 tasks that wait, a probe with a black box takes 0.08 to 0.09 % of a core,
and 0.05 % without (`schedstat` over a minute, beside programs with the version before, which took 0.12 %; a machine
with other work); with 5,000 tasks 0.13, and 0.05 without a box. Four fifths go into the thread that writes a row of the
history and a tick of the black box each second: while nothing happens that is one small entry, and a whole tick comes
every 30 s. The watchdog sleeps until a step begins.

**The arrival of a viewer** is felt through the GIL. The probe's thread hands it over after each millisecond of work, so
the program's own thread waits for it for 2 ms at most as a rule, and 4 at worst: with 20,000 and with 100,000 live
tasks (16 arrivals each of `looptop tasks --json`, `looptop watch` and the dashboard, time spent waiting for the GIL
only, on 3.11 with real-time priority, so that other processes play no part). It was 10 to 16 ms: one task that refers
to a registry of all tasks was searched through in one piece, for each of them. The pieces that are left are longer than
1 ms because nothing in them can be interrupted: reading the keys of 100,000 records (2 ms), a young collection of
garbage (up to 3), and encoding a frame (0.5). No arrival started a full collection, whether the program had called
`gc.freeze` or not. A timer of 5 ms is late by more than that where processes compete for the cores, and the viewer is
one of them: `python -m benchmarks.arrival` measures that, as worst delay and 99.9 % of each arrival. On two cores with
nothing else to do, the worst of ten arrivals was 10.3, 9.3 and 4.8 ms at 20,000 tasks (8.8 without a viewer), and 13.3,
13.3 and 5.6 at 100,000 (4.2): 5 ms more, which is the target, is met by all three at 20,000 and by the dashboard at
100,000. With one core kept busy by another process it was 12.0, 7.0 and 5.8 (5.1), and 7.1, 7.7 and 9.7 (6.0). A probe
that has to be put in first (`looptop attach PID`) makes the program wait for 2 to 6 ms.

**History off, no viewer.** Steps, callbacks, queue and streams run none of the probe's code: the step hooks are
removed, and instruction counts equal those of a program without a probe within 0.3 %. Ratios above 1.00 there come
from chance and the memory of the probe's modules. The hook of `create_task` stays. It takes fewer instructions than
asyncio's own function (one C call instead of a Python function with argument parsing; the keywords of `Task(…)` are
built once per loop), but touches more code and 208 more bytes per task: on 3.13 (`perf stat`) 23,360 instead of 23,630
instructions, with 42 more L1 misses for code and 25 for data, so 3.7 instead of 4.1 instructions per cycle. The effect
depends on the placement of code and heap: the same Python gave 1.06 by its own path and 1.16 to 1.19 from a virtual
environment, reproducibly. The weak reference with its fields takes 580 to 660 instructions (410 to 480 of them in
Python's `weakref.ref.__new__`), the frame object for the creation site 340 to 410, the parent from asyncio's
dictionary of running tasks 340, `_task_factory` and `_debug` of the loop 320 each, the table 290 to 370.

Tried and kept: omitting `name=None`, and not asking a running loop whether it is closed (3.13: a tenth of the CPU
time); looking up the site of a server's own tasks once; a record larger than a task, so that the allocator does not
place it among tasks (1.03 instead of 1.11 on 3.11); removing dead records before the table grows: on 3.13 a task and
a coroutine have the same size, so tasks keep getting new addresses, and 5,000 records were kept for two live tasks
(1.06 instead of 1.09); looking at four places of the table of code objects, since two hot ones that shared a place
called Python twice per request (3,200 instructions). Tried and dropped: counting the durations of eight ends at once
(493 instructions instead of 386, and as many misses); releasing the record of a dead task just before one with the
same address is made (more work, no gain); records of 224, 240, 256 and 512 bytes; compiling with `-Os` or `-fno-plt`.
Not done: reading frames without a frame object needs structures that change with every Python; the stable ABI is
worth more, since one file serves 3.11 to 3.15.

**uvloop, one viewer.** Its `call_soon` is compiled, so a hook in C is not cheaper than what it replaces: a step needs
an extra object, two clock reads and the accounting, some 1,000 instructions. An aiohttp request is one such step on
3.12 and later, and three steps and a new task on 3.11, where aiohttp cannot start a task eagerly. The probe's threads
(four ticks and forty watchdog passes per second) add 1 to 2 %.

**The hooks in Python** are bytecode, which accounts for nearly all of the difference. Empty tasks: asyncio's `Task` is
C and an empty one does no work, so a record made in Python dominates: more than half of the addition is the birth.
Streams and aiohttp: every callback is timed, including those of transports. uvloop: a call from C into Python and
back, twice per step, costs as much as the step, and there is no Python code of asyncio to save. On 3.11 an aiohttp
request has a birth and three steps instead of one step, hence its larger ratio.

Tried and kept: calling a callback with no or one argument without unpacking a tuple (110 ns less than asyncio's own
way); checking the class of a callback before its owner; filling in handles without `__init__`; no extra handle for
uvloop's steps; figures only from the first step on, so that a task that ends in it is counted at its site at once
(empty tasks 1.75 to 1.9 instead of 2.2 to 2.4, bare steps 1.30 instead of 1.45). Tried and dropped: recognizing the
wakeup of a task by its hash instead of its name (slower). Not done: one clock read for the end of a callback and the
start of the next (the loop sleeps between two iterations, and a hook to detect that costs more than the read); taking
the ready time from the running callback (wrong by up to the length of that callback).

**Free-threaded builds** use the hooks in Python. The tests of counting, stream, waits, sync_scan, cancellations and
transparency ran on 3.13.15 and 3.14.0: no crash, no lost count. Known: a finalizer of a program's object may run in
the probe's thread; an eager task was once shown without its flag; 3.14.0 itself hangs in a fork of a program with a
running loop, also without a probe. The cost was not measured.
"""


@dataclass
class Result:
    """What was measured on one Python."""

    python: str
    loop: str
    ratios: list[Ratios] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    beside: list[Ratios] = field(default_factory=list)
    """The same with other tools beside looptop."""


def machine() -> dict[str, str]:
    """The machine and the date of the measurement."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    measured, other = cores()
    return {
        "machine": f"{model}, {len({measured, other})} of its cores used",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "date": time.strftime("%Y-%m-%d"),
        "looptop": commit.stdout.strip() or "not from a repository",
    }


def _limits(work: Work) -> tuple[tuple[str, float], ...]:
    return ((UNWATCHED, work.unwatched), (WATCHED, work.watched), (PURE, work.pure))


def _cell(result: Ratios, mode: str) -> str:
    if mode not in result.per_round:
        return "–"
    low, median, high = result.quartiles(mode)
    return f"{median:.3f} ({low:.3f}–{high:.3f})"


def _verdict(result: Ratios, mode: str, limit: float) -> str:
    if mode not in result.per_round:
        return "–"
    reached = round(result.quartiles(mode)[1], 3) <= limit
    return f"≤ {limit:g}: {'met' if reached else '**not met**'}"


def rows(ratios: list[Ratios]) -> list[list[str]]:
    """The table of one Python, as text."""
    return [
        [
            result.work.title,
            _cell(result, CONTROL),
            *[text for limit in _limits(result.work) for text in (_cell(result, limit[0]), _verdict(result, *limit))],
        ]
        for result in ratios
    ]


def peer_rows(beside: list[Ratios]) -> list[list[str]]:
    """One line for each of the other tools and for looptop; the first line is the heading."""
    modes = list(dict.fromkeys(mode for ratios in beside for mode in (*ratios.per_round, *ratios.missing)))
    modes.sort(key=lambda mode: (mode != CONTROL, "viewer" not in mode, mode))
    out = [["", *[ratios.work.title for ratios in beside]]]
    for mode in modes:
        name = f"looptop, {mode}" if mode in (UNWATCHED, WATCHED) else mode
        out.append([name, *[ratios.missing.get(mode) or _cell(ratios, mode) for ratios in beside]])
    return out


def missed(results: list[Result]) -> list[str]:
    """One line for each target that was not met."""
    out = []
    for result in results:
        out += [f"{_heading(result)}: {failure}" for failure in result.failures]
        out += [f"{_heading(result)}: {table.title}" for table in result.tables if table.columns == ["error"]]
        out += [f"{_heading(result)}: {table.name}: {line}" for table in result.tables for line in table.missed]
        for ratios in result.ratios:
            for mode, limit in _limits(ratios.work):
                median = round(ratios.quartiles(mode)[1], 3) if mode in ratios.per_round else 0.0
                if median > limit:
                    what = f"{ratios.work.title}, {mode}: {median:.3f} instead of {limit:g}"
                    out.append(f"{_heading(result)}: {what}")
    return out


def _heading(result: Result) -> str:
    return f"Python {result.python}" + ("" if result.loop == "asyncio" else f", {result.loop}")


def text(results: list[Result]) -> str:
    """The whole report, for a terminal."""
    out = []
    for result in results:
        if result.ratios:
            out += [_heading(result), *_aligned([COLUMNS, *rows(result.ratios)]), ""]
        if result.beside:
            out += [f"{_heading(result)}: the others", *_aligned(peer_rows(result.beside)), ""]
        for table in result.tables:
            out += [f"{_heading(result)}. {table.title}", *_aligned([table.columns, *table.rows]), ""]
    out += [f"not met: {line}" for line in missed(results)]
    return "\n".join(out)


def _aligned(cells: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def markdown(results: list[Result]) -> str:
    """The text of docs/cost.md."""
    where = machine()
    pythons = ", ".join(dict.fromkeys(result.python for result in results))
    parts = [INTRO]
    lines = missed(results)
    if lines:
        listed = "\n".join(f"* {line}" for line in lines)
        parts.append(f"## Targets not met\n\n{listed}\n\nAll other targets were met.\n\n{WHY}")
    else:
        parts.append("All targets were met.\n")
    parts.append("## CPU time\n\n" + METHOD)
    measured = [result for result in results if result.ratios]
    parts += [f"### {_heading(result)}\n\n" + _table(COLUMNS, rows(result.ratios)) for result in measured]
    tables = [(result, table) for result in results for table in result.tables]
    if measured:
        parts.append(REST)
        made_of = [pair for pair in tables if pair[1].name == "instructions"]
        parts += [_section(*pair) for pair in made_of]
        parts.append(CAUSES)
        tables = [pair for pair in tables if pair not in made_of]
    for result in results:
        if result.beside:
            first, *others = peer_rows(result.beside)
            parts.append(f"## Other tools, in the same runs\n\n{_heading(result)}. {PEERS}\n" + _table(first, others))
    if tables:
        parts.append("## Many tasks, and response times\n")
    parts += [_section(*pair) for pair in tables]
    parts.append("## Where\n\n" + "\n".join(f"* {name}: {value}" for name, value in where.items()))
    parts.append(f"* Python: {pythons}\n")
    return "\n".join(parts[:-1]) + "\n" + parts[-1]


def _section(result: Result, table: Table) -> str:
    note = f"\n{table.note}\n" if table.note else ""
    return f"### {table.title}\n\n{_heading(result)}.\n\n" + _table(table.columns, table.rows) + note


def _table(columns: list[str], cells: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_json(results: list[Result]) -> dict[str, Any]:
    """The whole report, including every round."""
    return {
        "where": machine(),
        "results": [
            {
                "python": result.python,
                "loop": result.loop,
                "works": [
                    {
                        "work": ratios.work.name,
                        "units": ratios.units,
                        "quartiles": {mode: ratios.quartiles(mode) for mode in ratios.per_round},
                        "rounds": ratios.per_round,
                        "cpu": ratios.cpu,
                        "to_reach": dict(_limits(ratios.work)),
                    }
                    for ratios in result.ratios
                ],
                "tables": [asdict(table) for table in result.tables],
            }
            for result in results
        ],
        "not_met": missed(results),
    }
