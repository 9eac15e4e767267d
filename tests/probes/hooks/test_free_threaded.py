"""A free-threaded build: hooks in Python, and threads that run at the same time lose nothing of each other's."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from interpreters import FREE_THREADED, find_python
from watched import Program

PROGRAM = """
    import asyncio, sys, threading

    async def short(n):
        if n % 2: await asyncio.sleep(0)

    async def makes(number):
        for _ in range(number // 100):
            await asyncio.gather(*[asyncio.create_task(short(n)) for n in range(100)])

    assert not sys._is_gil_enabled()
    print("ready", flush=True)
    sys.stdin.readline()
    threads = [threading.Thread(target=lambda: asyncio.run(makes(3000))) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("made", sys._is_gil_enabled(), flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("version", FREE_THREADED)
def test_threads_that_run_at_once_are_counted_exactly(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOOPTOP_PURE", raising=False)
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine: FREE_THREADED={version[:-1]} tests/pythons.sh makes one")
    with Program(textwrap.dedent(PROGRAM), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(rate=4) as viewer:
            viewer.ticks(1)
            assert viewer.first["hooks"] == "pure Python (free-threaded)"
            program.say()
            program.expect("made False", 60)
            viewer.until(lambda: viewer.at("makes")["ended"] >= 12_000, "all of them counted")
            found = viewer.at("makes")
            assert [found[key] for key in ("born", "ended", "failed", "steps")] == [12_000, 12_000, 0, 18_000]
        program.say()
        assert program.end() == 0
        assert program.stderr == ""
