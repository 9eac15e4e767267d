"""Turns results into text for a terminal, JSON, and docs/cost.md."""

from __future__ import annotations

import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .processes import ROOT, cores
from .turns import CONTROL, UNWATCHED, WATCHED, Ratios

if TYPE_CHECKING:
    from .crowds import Table

COLUMNS = ["work", "A/A control", "no viewer", "to reach", "one viewer", "to reach"]

METHOD = """\
Ratios of CPU time to the same program without a probe: median, and in brackets the quartiles, over the rounds.
Each work is done by four processes on one core that take turns in slices of 60 ms, in shuffled order: two without a
probe (the A/A control: what differs by chance), one with a probe that nobody looks at, one with a probe and a viewer
at the default rate of 4 ticks a second of its running time. Counted is the CPU time of the whole process, the
probe's threads included; viewers and HTTP clients are processes on the other core. All are started anew three times.
glibc is told to keep what it frees: else where the heap happens to end doubles the cost of reading a socket.
"""

INTRO = """\
# What watching costs

Written by `python -m benchmarks --write`; do not edit. The works do as little as there can be in each step, so these
are worst cases: the more a program does per step, the nearer its ratio is to 1.
"""


@dataclass
class Result:
    """What was measured on one Python."""

    python: str
    loop: str
    ratios: list[Ratios] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


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


def _cell(result: Ratios, mode: str) -> str:
    low, median, high = result.quartiles(mode)
    return f"{median:.3f} ({low:.3f}–{high:.3f})"


def _verdict(result: Ratios, mode: str, limit: float | None) -> str:
    if limit is None:
        return "–"
    reached = result.quartiles(mode)[1] <= limit
    return f"≤ {limit:g}: {'met' if reached else '**not met**'}"


def rows(ratios: list[Ratios]) -> list[list[str]]:
    """The table of one Python, as text."""
    return [
        [
            result.work.title,
            _cell(result, CONTROL),
            _cell(result, UNWATCHED),
            _verdict(result, UNWATCHED, result.work.unwatched),
            _cell(result, WATCHED),
            _verdict(result, WATCHED, result.work.watched),
        ]
        for result in ratios
    ]


def missed(results: list[Result]) -> list[str]:
    """One line for each figure that was not reached."""
    out = []
    for result in results:
        out += [f"{_heading(result)}: {failure}" for failure in result.failures]
        out += [f"{_heading(result)}: {table.title}" for table in result.tables if table.columns == ["error"]]
        for ratios in result.ratios:
            limits = ((UNWATCHED, ratios.work.unwatched), (WATCHED, ratios.work.watched))
            for mode, limit in limits:
                median = ratios.quartiles(mode)[1]
                if limit is not None and median > limit:
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
    if any(result.tables for result in results):
        parts.append("## Many tasks\n")
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
                        "to_reach": {UNWATCHED: ratios.work.unwatched, WATCHED: ratios.work.watched},
                    }
                    for ratios in result.ratios
                ],
                "tables": [asdict(table) for table in result.tables],
            }
            for result in results
        ],
        "not_met": missed(results),
    }
