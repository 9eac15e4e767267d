"""A CPU quota, as containers have one: when it is used up, the kernel stops the process until the next period.

What you see: `crunch` blocks the loop for several times as long as it computes, although the machine is idle; most of
that is throttling by the quota, and its counters say so. (The sample joins a control group of its own, with a fifth of
a processor, and leaves it in the end. That takes root, and a control group file system that can be written to.)

The fix: a higher quota, or fewer workers in the container; what computes for long belongs into another process.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator

from sample_apps.catalogue import CGROUPS, Sample, cpu_groups
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import SlowBecause, SlowCallback

SAMPLE = Sample(
    name="cpu_quota",
    topic="slowness",
    sentence="A task computes for 60 ms at a time, in a control group with a fifth of a processor.",
    fix=None,
    expectations=(
        SlowCallback(task="crunch", line="burns", at_least=0.1),
        SlowBecause(line="burns", reason="throttled", at_least=0.3),
    ),
    watch=9.0,  # a probe sees within a few seconds that there is a quota
    cgroup=True,
)
PERIOD, SHARE = 100_000, 0.2


@contextlib.contextmanager
def quota() -> Iterator[None]:
    """Run this process in a control group with a quota."""
    parent = cpu_groups()
    if parent is None:
        print(f"{SAMPLE.name} needs root, and a {CGROUPS} that can be written to", file=sys.stderr)
        sys.exit(2)
    group = parent / f"looptop-sample-{os.getpid()}"
    group.mkdir()
    try:
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{PERIOD * SHARE:.0f} {PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(f"{PERIOD * SHARE:.0f}")
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (parent / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


async def crunch() -> None:
    """Use 60 ms of CPU time, again and again."""
    while True:
        until = time.thread_time() + 0.06
        while time.thread_time() < until:
            sum(range(1000))  # expect: burns
        await asyncio.sleep(0.05)


async def main(_: Options) -> None:
    """Start the tasks under the quota."""
    with quota():
        async with asyncio.TaskGroup() as group:
            group.create_task(heartbeat(), name="heartbeat")
            group.create_task(crunch(), name="crunch")


if __name__ == "__main__":
    run(main, SAMPLE)
