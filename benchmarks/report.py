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

Instructions of the whole program for one more empty task that is created and awaited, no viewer, hooks in C, by
`valgrind --tool=callgrind` (15,000 tasks less 5,000; these do not depend on how busy a machine is):

| Python | without a probe | with it |
| --- | --- | --- |
| 3.11.7 | 22,272 | 21,401 |
| 3.12.1 | 24,515 | 23,771 |
| 3.13.0 | 23,649 | 23,114 |

That the CPU time is not below 1 all the same, and on 3.13 well above it, is memory that is touched: 208 bytes a task.

What registration costs, of these: the weak reference with its fields 580 to 660 (of which 410 to 480 are Python's own
`weakref.ref.__new__`), the frame object that shows the creation site 340 to 410, the parent by asyncio's dictionary of
running tasks 340, `_task_factory` and `_debug` of the loop 320 each, the table 290 to 370. What pays for it: one call
in the place of a Python function with its argument parsing, and the keywords of `Task(…)`, which are made once a loop.

Tried, and kept: those keywords, a `name=None` that is left out, and a loop that runs not being asked whether it is
closed (3.13: a tenth of the CPU time); the site of a server's own tasks, which no line of the user's makes, looked for
once; a record that is larger than a task, so that the allocator gives it no place of one (1.03 instead of 1.11; on
3.13, 224 and 240 bytes made no difference). Not done: reading frames without a frame object needs structures that
change with every Python, and the stable ABI is worth more, since one file serves 3.11 to 3.15.

The hooks in Python miss their figure for empty tasks (2.3 instead of 1.6): a weak reference with its slots is made by
an interpreter there, and asyncio's own part is C.
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
    if measured:
        parts.append(REST)
    for result in results:
        if result.beside:
            first, *others = peer_rows(result.beside)
            parts.append(f"## The others, in the same runs\n\n{_heading(result)}. {PEERS}\n" + _table(first, others))
    if any(result.tables for result in results):
        parts.append("## Many tasks, and how long a person waits\n")
    for result in results:
        for table in result.tables:
            note = f"\n{table.note}\n" if table.note else ""
            heading = f"### {table.title}\n\n{_heading(result)}.\n\n"
            parts.append(heading + _table(table.columns, table.rows) + note)
    parts.append("## Where\n\n" + "\n".join(f"* {name}: {value}" for name, value in where.items()))
    parts.append(f"* Python: {pythons}\n")
    return "\n".join(parts[:-1]) + "\n" + parts[-1]


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
