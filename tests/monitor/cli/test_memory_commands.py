"""`looptop memory` and `looptop profile` on a real program."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from waiting import wait_until
from watched import ROOT, Program

BODY = """
    import asyncio, sys
    import probes

    kept = []

    @probes.profile_time
    async def leaks():
        kept.append(bytearray(2000))  # leaks
        await asyncio.sleep(0.001)

    async def main():
        while True:
            await leaks()
            if len(kept) == 50: print("ready", flush=True)

    asyncio.run(main())
"""


def looptop(*args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitor", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT)


def test_memory_and_profile_of_a_program(tmp_path: Path) -> None:
    with Program(BODY, folder=tmp_path, env={"PYTHONPATH": str(ROOT)}) as program:
        program.expect("ready")
        lines = (tmp_path / "program.py").read_text().splitlines()

        def look(*options: str) -> dict[str, Any]:
            done = looptop("memory", str(program.pid), *options, "--json")
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        def grown() -> dict[str, Any] | None:
            """A look in which the leak was first: on a crowded machine the program may do next to nothing meanwhile."""
            found = look("--duration", "0.5", "--limit", "3")
            first = found["diff"][0]
            return found if "# leaks" in lines[first["site"]["line"] - 1] and first["size_diff"] > 20_000 else None

        found = wait_until(grown, "the leak")
        assert set(found) == {"duration", "tracing_cost", "rss", "traced", "diff"}
        assert found["duration"] >= 0.5 and len(found["diff"]) == 3 and found["tracing_cost"] > 0
        first = found["diff"][0]
        assert set(first) == {"site", "size", "size_diff", "count", "count_diff"}

        def traced() -> bool:
            diff = look("--duration", "0.3", "--frames", "3", "--group", "traceback")["diff"]
            return bool(diff) and diff[0]["traceback"][-1]["line"] == first["site"]["line"]

        wait_until(traced, "its traceback")
        table = looptop("memory", str(program.pid), "--duration", "0.3").stdout
        assert "KiB" in table and not re.search(r"^ +0B +\S+ +0 ", table, re.MULTILINE), "only what grew or shrank"
        done = looptop("profile", str(program.pid), "--json", "--calls", "2")
        (profile,) = json.loads(done.stdout)["functions"]
        assert profile["function"] == "leaks" and profile["calls"] > 50 and len(profile["recent"]) == 2
        assert "leaks" in looptop("profile", str(program.pid)).stdout


def looks(viewer: Any) -> int:
    """How many looks at memory there have been, as the ticks say."""
    told = [(frame.get("memory") or {}).get("tracing") for frame in viewer.frames]
    return max((tracing["looks"] for tracing in told if tracing), default=0)


def test_an_interrupt_prints_what_there_is_and_tracing_is_off(tmp_path: Path) -> None:
    with Program(BODY, folder=tmp_path, env={"PYTHONPATH": str(ROOT)}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "memory", str(program.pid), "--duration", "600", "--json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            viewer.until(lambda: looks(viewer), "the baseline")
            viewer.ticks(2)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0 and "interrupted after" in err
            assert json.loads(out)["diff"]
            viewer.until(
                lambda: any("stopped by the viewer" in e["text"] for e in viewer.of_kind("memory")), "the end of it"
            )
            quick = [e for e in viewer.of_kind("memory") if "a snapshot of" in e["text"] and e["duration"] < 10_000]
            assert not quick, "a look that took no time is no news"
