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
    "no viewer",
    "to reach",
    "one viewer",
    "to reach",
    "pure Python, one viewer",
    "to reach",
]

METHOD = """\
Ratios of CPU time to the same program without a probe: median, and in brackets the quartiles, over the rounds.
Each work is done by five processes on one core that take turns in slices of 60 ms, in shuffled order: two without a
probe (the A/A control: what differs by chance), one with a probe that nobody looks at, one with a probe and a viewer
at the default rate of 4 ticks a second of its running time, and that with the hooks in Python (`LOOPTOP_PURE=1`; all
others have those in C). Below 1: the hooks in C do in one call what asyncio does in several of Python.
Counted is the CPU time of the whole process, the
probe's threads included; viewers and HTTP clients are processes on the other core. All are started anew three times.
Of empty tasks the first 2.7 s of the watched are not counted: a viewer that arrives where 500,000 tasks are born a
second costs some 0.4 s of CPU time once, to catch up.
glibc is told to keep what it frees: else where the heap happens to end doubles the cost of reading a socket.
"""

INTRO = """\
# What watching costs

Written by `python -m benchmarks --write`; do not edit. The works do as little as there can be in each step, so these
are worst cases: the more a program does per step, the nearer its ratio is to 1.
"""


PEERS = """Ratios of CPU time as above. A sampler such as py-spy works in a process of its own, on the other core,
which is not counted here; it knows threads and lines, not tasks.
"""


REST = """\
## What it is made of

Instructions do not depend on how busy a machine is. Where a ratio above is not met, they say what the rest is.
"""

CAUSES = """\
**No viewer.** Of steps, callbacks, queue and streams nothing of ours is run: the hooks of steps are out, and
instructions are those of a program without a probe, within 0.3 %. What is above 1.00 there is chance and the memory
that a probe's modules take. Births are the one hook that stays: fewer instructions than asyncio's own (one call in
the place of a Python function with its argument parsing, and the keywords of `Task(…)` made once a loop), but code
and 208 bytes more a task that are touched: on 3.13 (`perf stat`) 23,360 instead of 23,630 instructions, and with them
42 more misses of the first cache for code and 25 for data, so 3.7 instead of 4.1 instructions a cycle. Where code and
heap come to lie decides what that is: the same Python gave 1.06 by its own path and 1.16 to 1.19 from a virtual
environment, each time again. Of the instructions the weak reference with its fields takes 580 to 660 instructions
(410 to 480 of these Python's own `weakref.ref.__new__`), the frame object that shows the creation site 340 to 410,
the parent by asyncio's dictionary of running tasks 340, `_task_factory` and `_debug` of the loop 320 each, the table
290 to 370.

Tried, and kept: a `name=None` that is left out, and a loop that runs not being asked whether it is closed (3.13: a
tenth of the CPU time); the site of a server's own tasks looked for once; a record that is larger than a task, so that
the allocator gives it no place of one (1.03 instead of 1.11 on 3.11); a table that is cleared of the dead before it
grows: on 3.13 a task and a coroutine are of one size, so tasks lie at ever new addresses, and 5,000 records were kept
for two tasks that lived (1.06 instead of 1.09). Tried, and left: the record of a dead task let go just before the new
one of the same address is made (more work, nothing gained); records of 224, 240, 256 and 512 bytes; the module
compiled for size, or without stubs for calls (`-Os`, `-fno-plt`). Not done: reading frames without a frame object
needs structures that change with every Python, and the stable ABI is worth more, since one file serves 3.11 to 3.15.

**uvloop, one viewer.** Its `call_soon` is compiled, so a hook in C is no longer cheaper than what it takes the place
of: a step has an object of ours, two readings of the clock and the booking, some 1,000 instructions. A request of
aiohttp is one such step on 3.12 and later, and three with a task born on 3.11, where aiohttp cannot start a task
eagerly. The probe's own threads (four ticks, forty looks and beats of the watchdog a second) take 1 to 2 % more.

**The hooks in Python** are bytecode, which is where nearly all of the difference is. Empty tasks: asyncio's `Task` is
C, and an empty one has no work of its own that a record, made by an interpreter, could hide behind: of what is added
more than half is the birth. Streams and aiohttp: each callback is timed, those of transports too, whether it is a
task's or not. uvloop: a call from C into Python and back, twice a step, costs as much as the step that is timed; and
nothing of asyncio's own in Python is saved there. On 3.11 an aiohttp request has a birth and three steps where it has
one step on later ones: that is its larger ratio.

Tried, and kept: a callback with no argument or one is called without unpacking a tuple (110 ns less than asyncio's
own way); the class of a callback asked before its owner is; handles filled in without `__init__`; no handle of ours
for uvloop's steps; figures only from the first step on, so that a task that ends in it is counted at its site at once
(empty tasks 1.75 to 1.9 instead of 2.2 to 2.4, bare steps 1.30 instead of 1.45). Tried, and left: the wakeup of a
task known by its hash instead of its name (slower). Not done: one reading of the clock for the end of a callback and
the start of the next (between two turns the loop sleeps, and a hook that tells the turns apart costs more than the
reading); the time of being ready taken from the callback that runs (false by up to that callback).

**Free-threaded builds** have the hooks in Python. Tests of counting, stream, waits, signs, cancellations and
transparency ran on 3.13.15 and 3.14.0: nothing crashed and nothing that is counted was lost. Known: the end of an
object that is looked at for a count may run in the probe's thread there; an eager task was once shown without its
mark; 3.14.0 itself hangs in a fork of a program with a running loop, also without a probe. Their cost was not
measured.
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
    """The same with the peers beside us."""


def machine() -> dict[str, str]:
    """Where and when this was measured."""
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
    """One line for each of the peers and for us; the first line is the heading."""
    modes = list(dict.fromkeys(mode for ratios in beside for mode in (*ratios.per_round, *ratios.missing)))
    modes.sort(key=lambda mode: (mode != CONTROL, "viewer" not in mode, mode))
    out = [["", *[ratios.work.title for ratios in beside]]]
    for mode in modes:
        name = f"looptop, {mode}" if mode in (UNWATCHED, WATCHED) else mode
        out.append([name, *[ratios.missing.get(mode) or _cell(ratios, mode) for ratios in beside]])
    return out


def missed(results: list[Result]) -> list[str]:
    """One line for each figure that was not reached."""
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
    """Everything, for a terminal."""
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
        parts.append("## Not met\n\n" + "\n".join(f"* {line}" for line in lines) + "\n\nAll other figures were met.\n")
    else:
        parts.append("All figures that were to be reached were reached.\n")
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
            parts.append(f"## The others, in the same runs\n\n{_heading(result)}. {PEERS}\n" + _table(first, others))
    if tables:
        parts.append("## Many tasks, and how long a person waits\n")
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
    """Everything, every round included."""
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
