"""Why a slow callback was slow: blocking calls, garbage collection, imports, or its own code."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from interpreters import find_python
from test_counting import source
from watched import Program

from probes.sampling import page_faults, throttling

PARTS = ("io", "gc", "faulting", "importing", "gil", "starved")
SCRIPT = """
    import gc, mmap, os, time
    heap = [[n] for n in range(1_500_000)]

    def reads():
        time.sleep(0.2)

    def collects():
        global collecting
        began = time.thread_time()
        gc.collect()
        gc.collect()
        collecting = time.thread_time() - began

    def computes():
        spin(0.2)

    def imports():
        import slow_module

    def faults():
        for _ in range(3):
            fresh = mmap.mmap(-1, 160 << 20)
            for place in range(0, len(fresh), 4096):
                fresh[place] = 1
            fresh.close()

    async def main():
        await told("ready")
        for each in (reads, collects, computes, imports, faults):
            asyncio.get_running_loop().call_soon(each)
            await asyncio.sleep(0.1)
        await told(collecting)

    run(main())
"""


def test_reasons_of_slow_callbacks_sum_up(tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text("sum(number * number for number in range(4_000_000))\n")
    with Program(source(SCRIPT), folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer(slow=30_000) as viewer:
            viewer.until(lambda: viewer.rows, "a first screen")
            program.say()
            collecting = float(program.line()) * 1e6

            def found() -> dict[str, dict[str, Any]]:
                slow = [event for event in viewer.events if event["kind"] == "slow_callback"]
                return {event["callback"].partition("(")[0]: event for event in slow}

            viewer.until(
                lambda: {"reads", "collects", "computes", "imports", "faults"} <= found().keys(), "all of them"
            )
            for event in found().values():
                others = sum(event.get(part, 0) for part in PARTS)
                assert others <= event["duration"] * 1.01 + 1000
            slow = found()
            ran = {name: event["duration"] - event["starved"] for name, event in slow.items()}
            assert slow["reads"]["io"] >= 0.8 * ran["reads"]
            assert slow["collects"]["gc"] >= 0.8 * collecting > 0
            assert slow["imports"]["importing"] >= 0.3 * ran["imports"]
            assert slow["faults"]["faults"] >= 100_000
            assert 0 < slow["faults"]["faulting"] <= ran["faults"] * 1.01 + 1000
            for part in ("gc", "importing", "faulting"):
                assert slow["computes"].get(part, 0) <= 0.2 * ran["computes"]


LAZY = """
    lazy import slow_module

    async def main():
        await told("ready")
        for _ in range(2):
            asyncio.get_running_loop().call_soon(lambda: slow_module.total)
            await asyncio.sleep(0.1)
        await told("over")

    run(main())
"""


def test_a_lazy_import_is_an_import_where_it_is_used(tmp_path: Path) -> None:
    python = find_python("3.15")
    if python is None:
        pytest.skip("needs CPython 3.15")
    (tmp_path / "slow_module.py").write_text("total = sum(number * number for number in range(8_000_000))\n")
    with Program(source(LAZY), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(slow=30_000) as viewer:
            viewer.until(lambda: viewer.rows, "a first screen")
            program.say()
            program.expect("over", timeout=60)

            def importing() -> list[Any]:  # on a busy machine others take 30 ms, too
                return [slow for slow in viewer.of_kind("slow_callback") if "importing" in slow]

            slow = viewer.until(importing, "a slow import")[0]
            assert slow["importing"] >= 0.3 * (slow["duration"] - slow["starved"])


@pytest.mark.parametrize(
    ("line", "folder", "quota", "stat"),
    [
        ("0::/app.slice", "app.slice", ("cpu.max", "20000 100000"), "nr_throttled 3\nthrottled_usec {}000000\n"),
        ("4:cpu,cpuacct:/app", "cpu,cpuacct/app", ("cpu.cfs_quota_us", "20000"), "throttled_time {}000000000\n"),
        ("4:cpu,cpuacct:/docker/of-the-host", "cpu", ("cpu.cfs_quota_us", "20000"), "throttled_time {}000000000\n"),
    ],
)
def test_throttling_by_a_cpu_quota_is_read(
    line: str, folder: str, quota: tuple[str, str], stat: str, tmp_path: Path
) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True)
    (tmp_path / "cgroup").write_text(f"3:memory:/x\n{line}\n")
    (place / quota[0]).write_text(quota[1])
    (place / "cpu.stat").write_text(stat.format(2))
    file = throttling.find_file(str(tmp_path / "cgroup"), str(tmp_path))
    assert file == str(place / "cpu.stat")
    throttled = throttling.Throttled(file)
    throttled.look()
    began = time.monotonic()
    (place / "cpu.stat").write_text(stat.format(5))
    assert throttled.since(began) == pytest.approx(3.0)
    (place / quota[0]).write_text({"cpu.max": "max 100000"}.get(quota[0], "-1"))
    assert throttling.find_file(str(tmp_path / "cgroup"), str(tmp_path)) == ""


def test_page_faults_cost_something_and_few_are_no_reason() -> None:
    assert 1e-8 < page_faults.measure() < 1e-3
    assert page_faults.seconds(10) == 0.0
