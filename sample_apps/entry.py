"""How every sample starts and ends: the command line, the time limit, a clean end on SIGINT and SIGTERM."""

import argparse
import asyncio
import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sample_apps.catalogue import Sample


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said."""

    seconds: float  # 0 is until stopped
    seed: int  # of every random choice the sample makes
    uvloop: bool = False


def run(main: Callable[[Options], Awaitable[None]], sample: Sample) -> None:
    """Run main until it returns, its time is over or it is told to stop; the status is 0 in all three."""
    options = _command_line(sample)
    _require(sample, *sample.needs)
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    if options.uvloop:
        _require(sample, "uvloop")
        new_loop = importlib.import_module("uvloop").new_event_loop
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what is printed is seen at once, through a pipe also
    with (
        contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt),
        asyncio.Runner(loop_factory=new_loop) as runner,  # asyncio.run takes no loop before 3.12
    ):
        runner.run(_bounded(main, options, sample))


async def _bounded(main: Callable[[Options], Awaitable[None]], options: Options, sample: Sample) -> None:
    """Run main, and cancel it when its time is over or a signal says so; the runner cancels what is left."""
    task = asyncio.current_task()
    assert task is not None
    task.set_name("main")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    print(f"{sample.name} (pid {os.getpid()}): {sample.sentence}")
    try:
        async with asyncio.timeout(options.seconds or None) as limit:
            await main(options)
    except TimeoutError:
        if not limit.expired():
            raise


def _command_line(sample: Sample) -> Options:
    parser = argparse.ArgumentParser(prog=f"python -m sample_apps.{sample.name}", description=sample.sentence)
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=sample.seconds,
        help="how long to run; 0 is until stopped (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="makes two runs choose alike (default: %(default)s)")
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop instead of asyncio's own loop")
    arguments = parser.parse_args()
    return Options(arguments.seconds, arguments.seed, arguments.uvloop)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")


def _require(sample: Sample, *modules: str) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            print(f"{sample.name} needs {module}: pip install 'looptop[samples]'", file=sys.stderr)
            sys.exit(2)
