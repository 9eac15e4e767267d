"""A task that ends is counted and reported once, at whatever moment of its end the sampler looks."""

from pathlib import Path

from test_counting import source
from watched import Program


def test_an_end_that_takes_long_to_record_is_counted_once(tmp_path: Path, python: str) -> None:
    body = """
        class SlowError(Exception):
            def __str__(self):
                print("asked", flush=True)
                sys.stdin.readline()  # other threads run meanwhile
                return "slow"

        async def fails():
            await asyncio.sleep(0)
            spin(0.002)
            await asyncio.sleep(0)  # so the task waits for the sampler when it ends
            raise SlowError

        async def main():
            await told("ready")
            task = asyncio.create_task(fails(), name="fails")
            await asyncio.wait([task])
            task.exception()
            await told("over")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            program.expect("asked")
            viewer.ticks(3)
            assert not viewer.of_kind("task_ended"), "its end is not recorded yet"
            program.say()
            program.expect("over")
            viewer.until(lambda: viewer.of_kind("task_ended") and viewer.at("main")["ended"], "the end")
            viewer.ticks(3)
            counts, ends, dropped = viewer.at("main"), viewer.of_kind("task_ended"), viewer.probe["dropped"]
            program.say()
            program.end()
    assert [(end["name"], end["exception"]["message"]) for end in ends] == [("fails", "slow")]
    assert (counts["born"], counts["ended"], counts["failed"], counts["steps"]) == (1, 1, 1, 3)
    assert dropped == 0
