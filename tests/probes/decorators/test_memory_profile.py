"""The decorators: a function stays what it was, every call is kept, and a probe reads it."""

from __future__ import annotations

import asyncio
import inspect
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watched import Program

import probes
from probes.decorators import profile as module


@pytest.fixture(autouse=True)
def registry() -> Iterator[dict[Any, Any]]:
    before = sys.__dict__.pop(module.REGISTRY, None)
    sys.__dict__[module.REGISTRY] = found = {}
    yield found
    del sys.__dict__[module.REGISTRY]
    if before is not None:
        sys.__dict__[module.REGISTRY] = before


def the(registry: dict[Any, Any]) -> dict[str, Any]:
    (profile,) = registry.values()
    return profile.facts(1000)


@pytest.mark.parametrize("decorate", [probes.profile_time, probes.profile_memory])
def test_a_function_stays_what_it_was(decorate: Any) -> None:
    def plain(a: int, *, b: str = "") -> int:
        """Its text."""
        return a

    async def coroutine(a: int) -> int: ...
    def generator(a: int) -> Any:
        yield a

    async def async_generator(a: int) -> Any:
        yield a

    checks = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    for function in (plain, coroutine, generator, async_generator):
        wrapped = decorate(function)
        assert [check(wrapped) for check in checks] == [check(function) for check in checks]
        assert inspect.signature(wrapped) == inspect.signature(function)
        assert (wrapped.__name__, wrapped.__qualname__, wrapped.__doc__) == (
            function.__name__,
            function.__qualname__,
            function.__doc__,
        )
        assert asyncio.iscoroutinefunction(wrapped) == asyncio.iscoroutinefunction(function)


def test_every_call_is_kept_and_all_are_in_the_totals(registry: dict[Any, Any]) -> None:
    @probes.profile_time(keep=5)
    def divides(by: int) -> float:
        return 1 / by

    for by in range(1, 9):
        divides(by)
    with pytest.raises(ZeroDivisionError):
        divides(0)
    found = the(registry)
    assert (found["calls"], found["failed"], found["kept"], found["steps"]) == (9, 1, 5, 9)
    assert [call[5] for call in found["recent"]] == ["done"] * 4 + ["failed"]
    assert found["function"].endswith("divides") and found["shape"] == "function"
    assert found["elapsed"] >= found["longest"] >= 0


async def test_steps_of_coroutines_and_cancellation(registry: dict[Any, Any]) -> None:
    gate = asyncio.Event()

    @probes.profile_time
    async def waits(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        await gate.wait()
        return turns

    first, second = asyncio.create_task(waits(3)), asyncio.create_task(waits(0))
    for _ in range(6):
        await asyncio.sleep(0)
    second.cancel()
    gate.set()
    assert await first == 3
    with pytest.raises(asyncio.CancelledError):
        await second
    found = the(registry)
    assert {call[5]: call[3] for call in found["recent"]} == {"done": 5, "cancelled": 2}
    assert found["cancelled"] == 1 and found["running"] == 0 and found["busy"] <= found["elapsed"]


async def test_generators_of_both_kinds(registry: dict[Any, Any]) -> None:
    ended = []

    @probes.profile_time
    async def numbers(most: int) -> Any:
        try:
            for number in range(most):
                try:
                    back = yield number
                except KeyError as error:
                    back = error
                if back is not None:
                    ended.append(back)
                await asyncio.sleep(0)
        finally:
            ended.append("closed")

    assert [number async for number in numbers(3)] == [0, 1, 2]
    generator = numbers(9)
    assert await generator.asend(None) == 0
    assert await generator.asend("sent") == 1
    assert await generator.athrow(KeyError("thrown")) == 2
    await generator.aclose()
    assert ended[0] == "closed" and ended[1] == "sent" and isinstance(ended[2], KeyError) and ended[3] == "closed"
    assert [call[5] for call in the(registry)["recent"]] == ["done", "done"]
    registry.clear()

    @probes.profile_time
    def plain() -> Any:
        got = yield 1
        return (yield got)

    generator = plain()
    assert next(generator) == 1 and generator.send("sent") == "sent"
    with pytest.raises(StopIteration) as stopped:
        generator.send("result")
    assert stopped.value.value == "result"
    assert the(registry)["recent"][0][3] == 3


def test_memory_of_calls_and_the_differences_by_line(registry: dict[Any, Any]) -> None:
    kept = []
    assert not tracemalloc.is_tracing()

    @probes.profile_memory(key_type="lineno", cumulative=False)
    def grows(blocks: int) -> None:
        kept.extend(bytearray(10_000) for _ in range(blocks))  # the line

    for blocks in (10, 20, 0):
        grows(blocks)
    assert not tracemalloc.is_tracing(), "it was off before"
    found = the(registry)
    sizes = [call[4] for call in found["recent"]]
    assert abs(sizes[0] - 100_000) < 10_000 and abs(sizes[1] - 200_000) < 20_000 and abs(sizes[2]) < 2_000
    assert found["size_diff"] == sum(sizes)
    (file, line), _, size_diff, _, _ = found["recent"][1][6][0]
    assert file == __file__ and "# the line" in Path(file).read_text().splitlines()[line - 1]
    assert abs(size_diff - 200_000) < 20_000
    tracemalloc.start()
    grows(1)
    assert tracemalloc.is_tracing(), "it was on before"
    tracemalloc.stop()
    with pytest.raises(ValueError, match="key_type"):
        probes.profile_memory(key_type="type")


async def test_what_other_tasks_allocate_is_not_counted(registry: dict[Any, Any]) -> None:
    kept = []

    @probes.profile_memory
    async def small() -> None:
        for _ in range(5):
            kept.append(bytearray(1000))
            await asyncio.sleep(0)

    async def large() -> None:
        for _ in range(5):
            kept.append(bytearray(100_000))
            await asyncio.sleep(0)

    await asyncio.gather(small(), large())
    assert 5_000 < the(registry)["size_diff"] < 50_000


def test_methods_and_a_function_that_is_made_again(registry: dict[Any, Any]) -> None:
    class Thing:
        @probes.profile_time
        @classmethod
        def made(cls) -> str:
            return cls.__name__

        @staticmethod
        @probes.profile_time
        def alone() -> int:
            return 1

    assert Thing.made() == "Thing" and Thing.alone() == 1
    for _ in range(3):

        @probes.profile_time
        def inner() -> None: ...

        inner()
    assert {profile.function.rpartition(".")[2]: profile.calls for profile in registry.values()} == {
        "made": 1,
        "alone": 1,
        "inner": 3,
    }


def test_a_probe_reads_them_and_await_stacks_go_through(tmp_path: Path, python: str) -> None:
    body = """
        import asyncio, sys
        import probes

        @probes.profile_time
        async def inner():
            await asyncio.Event().wait()  # waits here

        @probes.profile_time
        async def items():
            await asyncio.Event().wait()
            yield 1

        async def consumes():
            async for _ in items(): pass

        @probes.profile_memory(key_type="lineno")
        def short(): return [bytearray(1000)]

        async def main():
            task = asyncio.create_task(inner(), name="inner")
            other = asyncio.create_task(consumes(), name="consumes")
            for _ in range(7): short()
            await asyncio.sleep(0)
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)

        asyncio.run(main())
    """
    from watched import ROOT

    with Program(body, folder=tmp_path, python=python, env={"PYTHONPATH": str(ROOT)}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            pieces = viewer.ask("profile", calls=3)
            found = {each["function"]: each for piece in pieces for each in piece["profiles"]}
            assert found["inner"]["running"] == 1 and found["inner"]["shape"] == "coroutine function"
            short = found["short"]
            assert short["calls"] == short["kept"] == 7 and len(short["recent"]) == 3
            assert viewer.site(short["site"])[0] == "program.py" and short["key_type"] == "lineno"
            stack = [entry[2] for entry in viewer.stack(viewer.details_of("inner")["await_stack"])]
            assert stack[0].endswith("wrapper") and stack[1:] == ["inner", "Event.wait"]
            stack = [entry[2] for entry in viewer.stack(viewer.details_of("consumes")["await_stack"])]
            assert stack[0] == "consumes" and stack[2:] == ["items", "Event.wait"]
            program.say()
            assert program.end() == 0
