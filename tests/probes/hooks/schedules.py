"""Runs schedules of tasks and callbacks under one twin of the hooks, and tells all that was booked but the times.

    python schedules.py watched|plain        a schedule a line on stdin, what came of it a line on stdout

A schedule is a list of instructions of the first task; `OPERATIONS` says which there are. Nothing depends on a clock,
so the same schedule books the same, whichever twin does it. `plain` has no hooks: what the program itself sees (loop's
exception handler, results) has to be the same there too.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from probes.base import sites
from probes.base.sites import Tables
from probes.hooks import births_in_python, install
from probes.hooks.loops import Loops
from probes.hooks.registry import Registry
from probes.sampling.events import Events
from probes.sampling.journal import Journal
from probes.sampling.rows import Clock
from probes.sampling.sampler import Sampler

every_task = asyncio.all_tasks


def in_order(loop: Any = None) -> list[Any]:
    """All tasks, not in the order of their addresses. 3.13.0 calls those of a factory `None`, so names do not do."""
    return sorted(every_task(loop), key=lambda task: (task.get_coro().__name__, len(task.get_name()), task.get_name()))


asyncio.all_tasks = asyncio.tasks.all_tasks = in_order  # type: ignore[assignment]


class BrokenError(Exception):
    """What tasks and callbacks of a schedule raise."""


class Run:
    """One schedule."""

    def __init__(self, watched: bool) -> None:
        self.told: list[Any] = []
        self.seen: list[Any] = []
        self.watched = watched
        self.notices: list[str] = []
        self.names = self.made = 0
        if watched:
            registry = Registry(self.notices.append)
            self.loops = Loops(registry)
            self.registry = registry
            install.state.on_error = registry.fail
            install.state.on_slow = self.slow
            install.state.slow_threshold = 1e9
            self.journal = Journal(10_000)
            tables = Tables()
            self.events = Events(self.journal, tables, Clock())
            self.sampler = Sampler(self.loops, tables, self.events)
            self.first_id = install.state.next_id()
            self.sampler._sweep_due = float("inf")  # it is an instruction

    def name(self, text: str) -> str:
        """No two tasks have the same: they are sorted by it."""
        self.names += 1
        return f"{text} {self.names}"

    def slow(self, loop: Any, callback: Any, record: Any, started: float, elapsed: float) -> None:
        self.told.append(["slow", record is not None and self.number(record.id), elapsed >= 0])

    def number(self, number: int) -> int:
        return number and number - self.first_id

    def handler(self, loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        frames = [
            [Path(frame.filename).name, frame.name, frame.line]
            for frame in traceback.extract_tb(error.__traceback__ if error else None)
        ]
        self.seen.append([sorted(context), context["message"], repr(error), repr(context.get("handle")), frames])

    def look(self) -> None:
        if not self.watched or not install.state.watching:
            return
        changes = self.sampler.sample()
        self.told.append(
            [
                "look",
                sorted({json.dumps(self.facts(record)) for record in changes.live}),
                [[*self.facts(record), self.end(record)] for record in changes.ended],
                sorted(self.number(number) for number in changes.gone),
                (self.events.dropped, self.events.unnamed),
            ]
        )

    def end(self, record: Any) -> list[Any]:
        assert record.ended >= (record.born or 0.0)
        return [
            record.outcome,
            record.name,
            record.coro,
            record.failure and [record.failure.type, record.failure.message],
        ]

    def facts(self, record: Any) -> list[Any]:
        assert record.busy >= record.max_step >= 0 and record.scheduled >= 0 and (record.busy > 0) == (record.steps > 0)
        code = record.code and [record.code.co_name, sites.line_of(record.code, record.lasti)]
        origin = record.origin and [entry.co_name for entry, _ in record.origin]
        return [
            self.number(record.id), self.number(record.parent), record.steps, code, record.eager, record.predates_probe,
            record.born is None, record.counted is None, origin, record.histogram is not None, record.key != 0,
        ]  # fmt: skip

    def final(self) -> None:
        gc.collect()
        self.look()
        alive = sorted(
            (record for record in install.records.values() if record() is not None), key=lambda record: record.id
        )
        self.told.append(["records", [self.facts(record) for record in alive]])
        counts = sorted(
            [self.sampler.tables.sites[site][1], c.born, c.ended, c.failed, c.cancelled, c.steps]
            for site, c in self.sampler.site_counts.items()
        )
        self.told.append(["sites", counts])
        self.told.append(["ends", [[*map(self.number, (e["task"], e["parent"])), e["name"], e["outcome"], e["steps"], e["exception"] and e["exception"]["type"], self.canceller(e.get("cancelled_by"))] for e in self.journal.since(0)]])  # fmt: skip
        self.told.append(["off", self.registry.failed, self.notices, len(install.loops), install.state.lost])

    def canceller(self, by: Any) -> Any:
        """Who cancelled a task: how, who, the line, through whom."""
        if by is None:
            return None
        file, line, _ = self.sampler.tables.sites[by["site"]]
        who = [self.number(by["task"]), by["name"], self.number(by.get("through", 0)), by.get("through_name")]
        return [by["how"], *who, self.sampler.tables.strings[file].rpartition("/")[2], line, by["asked"]]

    def task(self, instructions: list[Any]) -> Any:
        """The coroutine of a task, by whose `__name__` it is known which was made first."""
        self.made += 1
        coro = self.follow(instructions)
        coro.__name__ = f"task {self.made:06}"
        return coro

    async def follow(self, instructions: list[Any]) -> int:
        kids: list[Any] = []
        loop = asyncio.get_running_loop()
        for operation, *rest in instructions:
            try:
                await OPERATIONS[operation](self, loop, kids, *rest)
            except asyncio.CancelledError:
                if len(kids) % 2:
                    raise
        return len(kids)

    def go(self, schedule: list[Any]) -> dict[str, Any]:
        if self.watched:
            self.loops.install()
        try:
            self.run_in_loop(schedule)
            if self.watched:
                self.final()
        finally:
            if self.watched:
                self.loops.unwatch()
                install.state.watching = False
                install.state.origin_depth = 0
                self.registry.remove_all()
                install.records.clear()
                install.loops.clear()
                install.state.forget_loops()
                install.changed.clear()
                install.site_aggregates.clear()
        return {"seen": self.seen, "told": self.told}

    def run_in_loop(self, schedule: list[Any]) -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            loop.set_exception_handler(self.handler)
            try:
                self.seen.append(["result", runner.run(self.task(schedule))])
            except (Exception, SystemExit, asyncio.CancelledError) as error:
                self.seen.append(["raised", repr(error)])

    # Callbacks

    def call(self, what: str, holder: list[Any]) -> None:
        if "cancel" in what and holder:
            holder[0].cancel()
        if "raise" in what:
            raise BrokenError(what)


async def sleep(run: Run, loop: Any, kids: list[Any]) -> None:
    await asyncio.sleep(0)


async def spawn(run: Run, loop: Any, kids: list[Any], name: str | None, instructions: list[Any]) -> None:
    kids.append(asyncio.create_task(run.task(instructions), name=name and run.name(name)))


async def spawn_by_loop(run: Run, loop: Any, kids: list[Any], instructions: list[Any]) -> None:
    kids.append(loop.create_task(run.task(instructions)))


async def direct(run: Run, loop: Any, kids: list[Any], instructions: list[Any]) -> None:
    coro = run.task(instructions)
    kids.append(seen(loop, coro, asyncio.Task(coro, loop=loop, name=run.name("direct"))))


def seen(loop: Any, coro: Any, task: Any) -> Any:
    """Only the hooks in C see such a task at its birth; they register it as those in Python do others."""
    if not install.NATIVE and hasattr(type(loop).create_task, "__wrapped__"):
        births_in_python._register(loop, task, coro, time.monotonic(), sys._getframe(1), None)
    return task


async def python_task(run: Run, loop: Any, kids: list[Any], instructions: list[Any]) -> None:
    before = asyncio.tasks.Task
    asyncio.tasks.Task = asyncio.tasks._PyTask  # a Python without the C ones would have this
    try:
        if sys.version_info < (3, 12):
            kids.append(loop.create_task(run.task(instructions), name=run.name("in Python")))
    finally:
        asyncio.tasks.Task = before


async def wait(run: Run, loop: Any, kids: list[Any], place: int) -> None:
    if kids:
        kid = kids[place % len(kids)]
        try:
            await kid
        except BrokenError:
            pass


async def cancel(run: Run, loop: Any, kids: list[Any], place: int) -> None:
    if kids:
        kids[place % len(kids)].cancel()


async def cancel_myself(run: Run, loop: Any, kids: list[Any]) -> None:
    asyncio.current_task().cancel()


async def fail(run: Run, loop: Any, kids: list[Any]) -> None:
    raise BrokenError("as the schedule says")


async def gather(run: Run, loop: Any, kids: list[Any], tasks: list[Any]) -> None:
    await asyncio.gather(*[run.task(each) for each in tasks], return_exceptions=True)


async def group(run: Run, loop: Any, kids: list[Any], tasks: list[Any]) -> None:
    try:
        async with asyncio.TaskGroup() as made:
            for each in tasks:
                made.create_task(run.task(each))
    except BaseExceptionGroup:
        pass


async def soon(run: Run, loop: Any, kids: list[Any], what: str) -> None:
    holder: list[Any] = []
    holder.append(loop.call_soon(run.call, what, holder))
    if what == "cancelled":
        holder[0].cancel()


async def soon_in_a_context(run: Run, loop: Any, kids: list[Any], what: str) -> None:
    import contextvars

    context = contextvars.copy_context()
    loop.call_soon(run.call, what, [], context=context)
    if "enter" in what:  # it is entered already when it comes to run
        loop.call_soon(context.run, run.call, what, [])


async def threadsafe(run: Run, loop: Any, kids: list[Any], what: str) -> None:
    loop.call_soon_threadsafe(run.call, what, [])


async def future(run: Run, loop: Any, kids: list[Any], broken: bool) -> None:
    made = loop.create_future()
    loop.call_soon(made.set_exception if broken else made.set_result, BrokenError("future") if broken else 1)
    try:
        await made
    except BrokenError:
        pass


def _wake(made: Any, loop: Any, hops: int) -> None:
    if made.done():
        return
    if hops:
        loop.call_soon(_wake, made, loop, hops - 1)
    else:
        made.set_result(None)


async def doze(run: Run, loop: Any, kids: list[Any]) -> None:
    made = loop.create_future()
    _wake(made, loop, 8)
    await made


async def timeout(run: Run, loop: Any, kids: list[Any]) -> None:
    try:
        async with asyncio.timeout(-1):
            await doze(run, loop, kids)
    except TimeoutError:
        pass


async def factory(run: Run, loop: Any, kids: list[Any], kind: str) -> None:
    def own(loop: Any, coro: Any, **kwargs: Any) -> Any:
        return asyncio.Task(coro, loop=loop, **kwargs)

    eager = getattr(asyncio, "eager_task_factory", None)
    loop.set_task_factory({"none": None, "own": own, "eager": eager}[kind])


async def debug(run: Run, loop: Any, kids: list[Any], on: bool) -> None:
    loop.set_debug(on)
    loop.slow_callback_duration = 1e9


async def look(run: Run, loop: Any, kids: list[Any]) -> None:
    run.look()


async def sweep(run: Run, loop: Any, kids: list[Any]) -> None:
    gc.collect()  # a task that nobody holds is swept once it is collected
    if run.watched and install.state.watching:
        run.sampler._sweep(0.0)


async def watch(run: Run, loop: Any, kids: list[Any], on: bool, origins: int) -> None:
    if not run.watched:
        return
    if on and not install.state.watching:
        run.sampler.start_counting()
        run.loops.watch()
    elif not on:
        run.loops.unwatch()
        install.state.watching = False
    install.state.origin_depth = origins


async def slow(run: Run, loop: Any, kids: list[Any], on: bool) -> None:
    if run.watched:
        install.state.slow_threshold = 0.0 if on else 1e9


async def thread(run: Run, loop: Any, kids: list[Any], instructions: list[Any]) -> None:
    other = threading.Thread(target=run.run_in_loop, args=(instructions,))
    other.start()
    other.join()


async def forget(run: Run, loop: Any, kids: list[Any]) -> None:
    if len(kids) > 1:
        kids.pop()
    gc.collect()


OPERATIONS = {
    function.__name__: function
    for function in (
        sleep, spawn, spawn_by_loop, direct, python_task, wait, cancel, cancel_myself, fail, gather, group, soon,
        soon_in_a_context, threadsafe, future, doze, timeout, factory, debug, look, sweep, watch, slow, thread, forget,
    )
}  # fmt: skip


def main() -> None:
    watched = sys.argv[1] == "watched"
    sys.stdout.write(json.dumps(install.HOOKS) + "\n")
    sys.stdout.flush()
    count_references = getattr(sys, "gettotalrefcount", None)  # of a debug build
    gc.disable()  # when it looks depends on how much a twin allocates
    for line in sys.stdin:
        result = Run(watched).go(json.loads(line))
        gc.collect()
        if count_references is not None:
            result["references"] = count_references()
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
