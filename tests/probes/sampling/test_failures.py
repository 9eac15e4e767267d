"""What a failure costs is bounded: of a flood only some tracebacks are read, and those of rare failures are."""

from pathlib import Path

from test_counting import source
from watched import Program

from probes.hooks.records import TracebackBudget


def test_a_flood_of_failures_keeps_the_traceback_of_the_rare_one(tmp_path: Path, python: str) -> None:
    body = """
        def deep(depth):
            if depth:
                return deep(depth - 1)
            raise ValueError("often")

        async def often():
            deep(40)

        async def rare():
            raise KeyError("rare")

        async def main():
            await told("ready")
            began = time.monotonic()
            tasks = [asyncio.create_task(often()) for _ in range(2000)]
            tasks.append(asyncio.create_task(rare(), name="rare"))
            await asyncio.gather(*tasks, return_exceptions=True)
            await told(time.monotonic() - began)

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            took = float(program.line())
            viewer.until(lambda: any(event.get("name") == "rare" for event in viewer.events), "the rare failure")
            failed = [event["exception"] for event in viewer.of_kind("task_ended") if event["outcome"] == "failed"]
            program.say()
            program.end()
    whole = [failure for failure in failed if failure["traceback"]]
    assert all(failure["type"] in ("ValueError", "KeyError") and failure["message"] for failure in failed)
    often = len([failure for failure in whole if failure["type"] == "ValueError"])
    assert 1 <= often <= TracebackBudget.A_SECOND * (2 + took)
    assert [failure["message"] for failure in whole if failure["type"] == "KeyError"] == ["'rare'"]


def test_the_budget_comes_back() -> None:
    budget = TracebackBudget()
    error = ValueError()
    taken = sum(budget.take(None, error) for _ in range(500))
    assert taken == budget.A_SECOND
    assert budget.take(None, KeyError()), "the first of another kind"
    assert not budget.take(None, KeyError())
    budget.refill(1.0)
    assert budget.take(None, error)


def test_failures_that_are_only_counted_are_counted(tmp_path: Path, python: str) -> None:
    body = """
        async def often():
            raise ValueError("often")

        async def main():
            await told("ready")
            for _ in range(50):
                await asyncio.gather(*(asyncio.create_task(often()) for _ in range(100)), return_exceptions=True)
            await told("over")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            program.expect("over")

            def failed() -> int:
                ticks = (frame for frame in viewer.frames if frame["type"] == "tick")
                return max((row[3] for tick in ticks for row in tick["sites"]), default=0)

            viewer.until(lambda: failed() == 5000, "5,000 failures at one creation site")
            named = [event for event in viewer.of_kind("task_ended") if event["outcome"] == "failed"]
            program.say()
            program.end()
    assert 1 <= len(named) < 5000
