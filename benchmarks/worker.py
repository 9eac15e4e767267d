"""The process that is measured: does units of one workload on request, and reports its CPU time so far.

Started by `turns` as `python -m benchmarks.worker WORK plain|probe|PEER asyncio|uvloop`. Commands come as lines on
stdin: a number of units. Each is answered by one line of JSON with the CPU time of the whole process since it
started, including the threads of the probe, so their work between two commands is counted, too. The loop keeps running
between commands, like that of a program that waits for something.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from . import peers
from .works import WORKS

MISSING = 77
"""Exit status if the workload needs a library that this Python lacks."""


async def serve(name: str, peer: str) -> None:
    """Answers commands until stdin ends."""
    if peer:
        peers.begin(peer)
    work = WORKS[name].make()
    port = await work.start() if hasattr(work, "start") else None
    run = getattr(work, "run", work)
    loop = asyncio.get_running_loop()
    commands: asyncio.Queue[int] = asyncio.Queue()
    rest = b""

    def read() -> None:
        nonlocal rest
        data = os.read(0, 4096)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            commands.put_nowait(int(line))
        if not data:
            loop.remove_reader(0)
            commands.put_nowait(-1)

    loop.add_reader(0, read)
    answer(python=sys.version.split()[0], port=port)
    while (units := await commands.get()) >= 0:
        if units:
            await run(units)
        answer(cpu=time.process_time())


def answer(**facts: Any) -> None:
    """Write one line to the parent process."""
    os.write(1, json.dumps(facts).encode() + b"\n")


def main() -> None:
    """Sets up the workload that the arguments name, then serves."""
    name, mode, loop = sys.argv[1:]
    try:
        if WORKS[name].remote:
            import aiohttp  # noqa: F401
        if mode in peers.INSIDE:
            peers.load(mode)
        if loop == "uvloop":
            import uvloop
    except ImportError as error:
        sys.stderr.write(f"{error.name} is not installed for {sys.executable}\n")
        sys.exit(MISSING)
    if mode == "probe":
        import probes
        from probes.blackbox import box

        probe = probes.install()
        if probe is not None:
            # The clock runs on while this process is stopped: what happens so often a second is scaled.
            share = float(os.environ.get("BENCH_SHARE", "1"))
            probe.counting.longest_without_sample *= share
            probe.sampler.names_a_second /= share
            box.EVERY *= share
            look, due = probe.history.look, 0.0

            def seldom(now: float, changes: Any) -> None:
                nonlocal due
                if changes.ended or changes.sites:  # before, each end of a task is booked by itself
                    probe.counting.longest_unwatched = share
                if now >= due:
                    due = now + share
                    look(now, changes)

            probe.history.look = seldom  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else None) as runner:
        runner.run(serve(name, mode if mode in peers.INSIDE else ""))


if __name__ == "__main__":
    main()
