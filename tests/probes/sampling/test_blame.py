"""Who blocks the loop is named: random blocking calls are all caught, at the right line, for the right time.

A few of each kind run here. `LOOPTOP_BLAMES=200 pytest tests/probes/sampling/test_blame.py -s` runs as many as the project
promises, for each Python and for uvloop, and prints the figures; `LOOPTOP_HEALTHY=60` sets the seconds of the other.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from interpreters import find_python
from test_counting import source
from waiting import waited_for_cpu
from watched import Program, Viewer

BLOCKS = Path(__file__).with_name("blocks.py")
NUMBER = int(os.environ.get("LOOPTOP_BLAMES", "15"))
HEALTHY = float(os.environ.get("LOOPTOP_HEALTHY", "5"))
LINES = {
    line.rpartition("# line ")[2].strip(): number
    for number, line in enumerate(BLOCKS.read_text().splitlines(), 1)
    if "# line " in line and "rpartition" not in line
}


def judge(viewer: Viewer, truth: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What was missed, blamed wrongly, timed wrongly, or accused although it did not block.

    A machine that is short of CPU makes steps longer and samples fewer, so an event belongs to a block if it covers it,
    may be longer by the time for which its thread had no CPU, and its line is judged if it was sampled at all twice,
    and mostly while its thread ran: else it may have stood anywhere for long.
    """
    found: dict[str, list[str]] = {"missed": [], "wrong line": [], "wrong time": [], "accused": []}
    events = [event for event in viewer.of_kind("slow_callback") if event["duration"] >= 100_000]
    for block in truth:
        if block["took"] < 0.15:
            continue
        near = [event for event in events if covers(event, block["ended"] - block["took"] / 2)]
        what = f"{block['kind']} by {block['how']} for {block['took']:.3f} s"
        if len(near) != 1:
            found["missed"].append(f"{what}: {len(near)} events")
            continue
        event = near[0]
        events.remove(event)
        where = viewer.site(event["stack"][event["blame"]]) if event["stack"] else ("nowhere", 0, "")
        judged = event["samples"] > 1 and without_cpu(event) < 0.3 * block["took"]
        if where[:2] != ("blocks.py", LINES[block["kind"]]) and judged:
            found["wrong line"].append(f"{what}: {where}, {event['samples']} samples, {viewer.stack(event['stack'])}")
        more, most = event["duration"] / 1e6 - block["took"], max(0.03, 0.15 * block["took"])
        if not -most <= more <= most + without_cpu(event):
            found["wrong time"].append(f"{what}: {event['duration'] / 1e6:.3f} s")
    middles = [block["ended"] - block["took"] / 2 for block in truth]
    for event in events:
        took = event["duration"] / 1e6 - without_cpu(event)
        if took >= 0.1 and not any(covers(event, middle) for middle in middles):
            found["accused"].append(f"{event['duration'] / 1e6:.3f} s at {viewer.stack(event['stack'])}")
    return found


def covers(event: dict[str, Any], moment: float) -> bool:
    """Whether the slow callback of an event ran at a moment (Unix time)."""
    return bool(event["at"] - event["duration"] <= moment * 1e6 <= event["at"])


def without_cpu(event: dict[str, Any]) -> float:
    """Seconds for which the thread of a slow callback was ready to run and did not, or waited for the GIL."""
    return float(event.get("starved", 0) + event.get("gil", 0)) / 1e6


@pytest.mark.timeout(120 + 3 * NUMBER)
@pytest.mark.parametrize("kind", ["3.11", "3.12", "3.13", "uvloop"])
def test_blocking_calls_are_caught_and_blamed(kind: str, tmp_path: Path) -> None:
    python = find_python(kind) if kind != "uvloop" else sys.executable
    if python is None:
        pytest.skip(f"Python {kind} is not on this machine")
    python = os.environ.get("LOOPTOP_BLAME_PYTHON", python)
    if kind == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
    seed = int.from_bytes(os.urandom(3), "big")
    loop = "uvloop" if kind == "uvloop" else "asyncio"
    with Program(BLOCKS, str(NUMBER), str(seed), loop, folder=tmp_path, python=python) as program:
        program.expect("ready", 60)
        with program.viewer(rate=4, slow=100_000) as viewer:
            viewer.ticks(1)
            program.say()
            viewer.until(lambda: len(program.out) > 1 or program.process.poll() is not None, "the end", 60 + 2 * NUMBER)
            truth = json.loads(program.line())
            viewer.ticks(3)
            found = judge(viewer, truth)
            program.say()
            program.end()
    counted = sum(block["took"] >= 0.15 for block in truth)
    print(
        f"{kind}, seed {seed}: {counted} blocks of 0.15 s and more, { ({key: len(of) for key, of in found.items()}) }"
    )
    assert not found["missed"], found
    assert not found["wrong line"], found
    # Who waits for a processor is late to look: one in so few is no pattern.
    assert len(found["wrong time"]) <= max(NUMBER // 50, 1), found
    assert len(found["accused"]) <= NUMBER // 50, found
    assert counted >= NUMBER


def test_a_lowered_threshold_catches_more(tmp_path: Path, python: str) -> None:
    body = """
        async def main():
            await told("ready")
            for _ in range(3):
                time.sleep(0.04)
                await asyncio.sleep(0.01)
            await told("over")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(slow=30_000_000) as usual, program.viewer(slow=20_000) as strict:
            usual.ticks(1)
            strict.ticks(1)
            usual.events.clear()  # a slow start of the program is remembered, too
            strict.events.clear()
            program.say()
            program.expect("over")
            strict.ticks(2)
            usual.ticks(2)
            # More than its three naps, if the machine is short of CPU; then steps are slow that are not here.
            naps = [event for event in strict.of_kind("slow_callback") if event["duration"] >= 40_000]
            assert len(naps) >= 3
            assert not usual.of_kind("slow_callback"), "each viewer has its own threshold"
            named = [event for event in naps if event["stack"]]
            for event in named:
                assert event["name"] == "Task-1" and event["task"] == strict.named("Task-1")["id"]
            # What main does next may be as slow.
            blamed = [strict.site(event["stack"][event["blame"]])[2] for event in named]
            assert "main" in blamed and set(blamed) <= {"main", "told"}
            program.say()
            program.end()


@pytest.mark.timeout(60 + 2 * HEALTHY)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_healthy_program_under_load_is_not_accused(tmp_path: Path, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
    body = """
        async def echo(reader, writer):
            while line := await reader.readline():
                await asyncio.sleep(0.0005)
                writer.write(line)
                await writer.drain()
            writer.close()

        async def client(port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while not stop.is_set():
                writer.write(b"x" * 1000 + b"\\n")
                await writer.drain()
                await reader.readline()
                answers.append(1)
            writer.close()

        async def main():
            global stop, answers
            stop, answers = asyncio.Event(), []
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            await told("ready")
            clients = [asyncio.create_task(client(port)) for _ in range(50)]
            await told()
            stop.set()
            await asyncio.gather(*clients)
            print(len(answers), flush=True)

        run(main())
    """
    from test_counting import UVLOOP

    setup = UVLOOP if loop == "uvloop" else "run = asyncio.run\n"
    with Program(source(body, setup), folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer(rate=4) as viewer:
            viewer.ticks(1)
            waited = waited_for_cpu(program.pid)
            program.say()
            viewer.read_for(HEALTHY)
            waited = waited_for_cpu(program.pid) - waited
            program.say()
            assert int(program.line()) > 0
            slow = viewer.of_kind("slow_callback")
            stacks = [viewer.stack(event["stack"]) for event in slow]
            told = f"{HEALTHY:g} s under load, {len(slow)} accused, {waited:.1f} s without a CPU"
            print(f"{loop}: {told}, load {os.getloadavg()[0]:.1f}")
            # On a machine that is short of CPU a step is truly slow: it may be told as often as its thread waited.
            assert len(slow) <= waited / 0.1, (told, stacks)
            assert viewer.probe["off"] == []
            program.end()
