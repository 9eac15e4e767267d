"""Why a slow callback was slow: blocking calls, garbage collection, imports, or its own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from test_counting import source
from watched import Program

SCRIPT = """
    import gc, os, time
    heap = [[n] for n in range(1_500_000)]

    def reads():
        time.sleep(0.2)

    def collects():
        gc.collect()
        gc.collect()

    def computes():
        spin(0.2)

    def imports():
        import slow_module

    async def main():
        await told("ready")
        for each in (reads, collects, computes, imports):
            asyncio.get_running_loop().call_soon(each)
            await asyncio.sleep(0.1)
        await told("over")

    run(main())
"""


def test_reasons_of_slow_callbacks_sum_up(tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text("sum(number * number for number in range(4_000_000))\n")
    with Program(source(SCRIPT), folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer(slow=30_000, steps="now") as viewer:
            viewer.until(lambda: viewer.rows, "a first screen")
            program.say()
            program.expect("over", timeout=60)

            def found() -> dict[str, dict[str, Any]]:
                slow = [event for event in viewer.events if event["kind"] == "slow_callback"]
                return {event["callback"].partition("(")[0]: event for event in slow}

            viewer.until(lambda: {"reads", "collects", "computes", "imports"} <= found().keys(), "four of them")
            for event in found().values():
                others = sum(event.get(part, 0) for part in ("io", "gc", "importing", "gil", "starved"))
                assert others <= event["duration"] * 1.01 + 1000
            slow = found()
            ran = {name: event["duration"] - event["starved"] for name, event in slow.items()}
            assert slow["reads"]["io"] >= 0.8 * ran["reads"]
            assert slow["collects"]["gc"] >= 0.5 * ran["collects"]
            assert slow["imports"]["importing"] >= 0.3 * ran["imports"]
            for part in ("gc", "importing"):
                assert slow["computes"].get(part, 0) <= 0.2 * ran["computes"]
