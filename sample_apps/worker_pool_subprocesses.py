"""A worker pool of subprocesses: each worker is a task that talks to its own process, line by line.

What you see: three `worker-*` tasks that each wait for a subprocess while it computes; the loop is idle, but the
machine is not.
"""

import asyncio
import sys
from types import TracebackType

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, Tasks, Utilization, Waiting

SAMPLE = Sample(
    name="worker_pool_subprocesses",
    topic="generators",
    sentence="Three tasks each have a process, and send it one job after another over its pipes.",
    fix=None,
    expectations=(
        Tasks(task="worker-*", at_least=3, at_most=3),
        Waiting(kind="subprocess", task="worker-*", at_least=1),
        AwaitStack(task="worker-*", through=("asks", "hears")),
        Utilization(at_most=0.2),
        NoSlowCallback(),
        NoFinding(),
    ),
)
PROGRAM = """
import sys, time
for line in sys.stdin:
    time.sleep(0.15)
    print(int(line) ** 2, flush=True)
"""


class Calculator:
    """A process that squares numbers, open inside of `async with`."""

    async def __aenter__(self) -> "Calculator":
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-E", "-c", PROGRAM, stdin=pipe, stdout=pipe, start_new_session=True
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def square(self, number: int) -> int:
        """Ask, and hear the answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(b"%d\n" % number)
        return int(await self.process.stdout.readline())  # expect: hears


async def worker(name: str, jobs: asyncio.Queue[int]) -> None:
    """Do one job after the other, with a process of its own."""
    async with Calculator() as calculator:
        while True:
            number = await jobs.get()
            print(f"{name}: {number}² is {await calculator.square(number)}")  # expect: asks


async def main(_: Options) -> None:
    """Start three workers, and keep them busy."""
    jobs: asyncio.Queue[int] = asyncio.Queue(maxsize=3)
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(worker(f"worker-{number}", jobs), name=f"worker-{number}")
        for number in range(1_000_000):
            await jobs.put(number)


if __name__ == "__main__":
    run(main, SAMPLE)
