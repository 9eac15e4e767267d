"""Explains the ratios: instructions for one unit of a workload, by valgrind, with and without the hooks.

They do not depend on how busy the machine is. Counted is one call of `eval`, which runs the loop with hooks installed
and a sampler that has run once, but no ticks and no viewer: the hot path alone. Step hooks and step ring are always
on. The program (`python -m benchmarks.instructions WORK MODE asyncio|uvloop N`) uses the standard library only, since
it may run on any Python.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from .processes import ROOT
from .works import WORKS

if TYPE_CHECKING:
    from .crowds import Sizes, Table
    from .turns import Setup

UNITS = {"tasks": 2000, "steps": 4000, "queue": 2000, "call_soon": 4000, "streams": 400}
MODES = {
    "no probe": ("plain", ""),
    "history off, C": ("born", ""),
    "step hooks, C": ("watched", ""),
    "always on, C": ("traced", ""),
    "no viewer, Python": ("born", "1"),
    "one viewer, Python": ("watched", "1"),
}
PARTS = {
    "bytecode": r"_PyEval|_PyFrame|_PyFunction|PyFrame|Specialize|_PyThreadState_P|frame_dealloc|_Py_MakeFrame",
    "memory": r"alloc|Malloc|Free|free|_PyObject_GC|PyObject_GC|gc_collect|visit_|_Py_NewRef|memset|dealloc|_traverse",
    "clock": r"clock|PyTime|pymonotonic|time_monotonic|time_perf",
    "tables": r"dict|Dict|unicodekeys|hash|Hash|lookdict",
    "attributes": r"GetAttr|_PyType_Lookup|getattro|member_get|getset|descr|PyMember|Descr",
}
"""Parts of the interpreter, by the names of its functions."""


def instructions(setup: Setup, sizes: Sizes) -> Table:
    """Instructions of each workload, and for the hooks in Python which parts of the interpreter take more."""
    from .crowds import Table

    columns = ["work", *MODES, *(f"more in {part}" for part in (*PARTS, "the rest"))]
    table = Table("instructions", "Instructions for one unit, by valgrind", columns)
    loops = [(work, "asyncio") for work in UNITS] + [("steps", "uvloop"), ("queue", "uvloop")]
    for work, loop in loops:
        counts = [_count(setup.python, work, *mode, loop) for mode in MODES.values()]
        if not all(counts):
            continue  # this Python lacks the loop
        more = [counts[-1].get(part, 0.0) - counts[0].get(part, 0.0) for part in (*PARTS, "the rest")]
        title = WORKS[work].title + (f", on {loop}" if loop != "asyncio" else "")
        totals = [sum(count.values()) for count in counts]
        table.rows.append([title, *[f"{total:,.0f}" for total in totals], *[f"{each:+,.0f}" for each in more]])
    table.note = (
        "The parts are those of the interpreter that hooks in Python with one viewer take more of than a program "
        "without a probe. No ticks, no other process."
    )
    return table


def _count(python: str, work: str, mode: str, pure: str, loop: str) -> dict[str, float]:
    """Instructions of one unit by part; empty if this Python lacks the loop. Raises RuntimeError."""
    number = UNITS[work]
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        out = f"{directory}/callgrind"
        command = [
            "valgrind",
            "--tool=callgrind",
            "--toggle-collect=builtin_eval",
            f"--callgrind-out-file={out}",
            python,
        ]
        command += ["-m", "benchmarks.instructions", work, mode, loop, str(number)]
        env = {**os.environ, "LOOPTOP_PURE": pure, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
        try:
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        except OSError as error:
            raise RuntimeError(f"no valgrind: {error}") from None
        if done.returncode == 77:
            return {}
        if done.returncode:
            raise RuntimeError(done.stderr[-300:])
        annotate = ["callgrind_annotate", "--threshold=100", "--auto=no", "--show=Ir", out]
        lines = subprocess.run(annotate, capture_output=True, text=True, check=True).stdout.splitlines()
    found: dict[str, float] = {}
    for line in lines:
        match = re.match(r"\s*([\d,]+)\s+\(\s*[\d.]+%\)\s+\S*?:([^\s:\[]+)", line)
        if match:
            part = next((part for part, names in PARTS.items() if re.search(names, match[2])), "the rest")
            found[part] = found.get(part, 0.0) + int(match[1].replace(",", "")) / number
    if not found:
        raise RuntimeError(f"{python} has no names of functions, or its eval() has another")
    return found


def _hook(mode: str) -> Any:
    """Install the hooks as a probe with a viewer does; return a function that runs the sampler once."""
    from probes.base.sites import Tables
    from probes.hooks import install
    from probes.hooks.loops import Loops
    from probes.hooks.registry import Registry
    from probes.sampling import gc_pauses
    from probes.sampling.events import Events
    from probes.sampling.journal import Journal
    from probes.sampling.rows import Clock
    from probes.sampling.sampler import Sampler

    registry = Registry(lambda text: sys.exit(text))
    loops = Loops(registry)
    install.state.on_error = registry.fail
    install.state.on_slow = lambda *_: None
    tables = Tables()
    sampler = Sampler(loops, tables, Events(Journal(1000), tables, Clock()))
    sampler._sweep_due = float("inf")
    loops.install()
    if mode in ("watched", "traced"):
        if mode == "traced":
            install.native_state.trace_start(4 << 20, lambda *_: None)
            gc_pauses.start()
        sampler.start_counting()
        loops.watch()
        return sampler.sample
    return lambda: None


def main() -> None:
    """Runs a workload twice: briefly to warm up, then counted."""
    name, mode, kind, number = sys.argv[1:]
    if kind == "uvloop":
        try:
            import uvloop
        except ImportError:
            sys.exit(77)
        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    work = WORKS[name].make()
    run = getattr(work, "run", work)
    sample = (lambda: None) if mode == "plain" else _hook(mode)
    if hasattr(work, "start"):
        loop.run_until_complete(work.start())
    for _ in range(3):  # the first ends are reported by name, and Python specializes the code
        loop.run_until_complete(run(600))
        sample()
    eval("loop.run_until_complete(run(int(number)))", {"loop": loop, "run": run, "number": number, "int": int})
    sys.stdout.flush()
    os._exit(0)  # the tasks left over from a server are not counted


if __name__ == "__main__":
    main()
