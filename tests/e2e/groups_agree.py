"""Compares what `looptop groups` says with what wrk measured, route by route: `make agreement`.

wrk keeps eight connections busy with one route at a time. Rates must agree within 5 %, p50 and p99 within 5 % and 1 ms.
As root it runs with real-time priority, so that neither server nor wrk waits for a processor; else the machine must be
at rest.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from test_groups_process import APP, answers, free_port  # noqa: E402
from waiting import wait_until  # noqa: E402

ROUTES = {"/items/7": "GET /items/{item_id}", "/slow/7/part": "GET /slow/{slow_id}/part"}
SECONDS = 6
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def by_wrk(url: str) -> tuple[float, float, float, float]:
    """Requests a second, p50, p99, and for how long they came."""
    done = subprocess.run(
        ["wrk", "-t1", "-c8", f"-d{SECONDS}s", "--latency", url], capture_output=True, text=True, check=True
    )
    shares = dict(re.findall(r"^\s+(50|99)%\s+(\S+)$", done.stdout, re.MULTILINE))
    times = {share: float(text.rstrip("mus")) * _UNITS[text.lstrip("0123456789.")] for share, text in shares.items()}
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    seconds = re.search(r"\d+ requests in ([\d.]+)s", done.stdout)
    assert found is not None
    assert seconds is not None
    return float(found[1]), times["50"], times["99"], float(seconds[1])


def by_looptop(pid: int, label: str, seconds: float) -> tuple[float, float, float]:
    """Ends a second over that time, p50, p99."""
    command = [sys.executable, "-m", "monitor", "groups", str(pid), "--json", "--duration", "0.5"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    groups = {group["label"]: group for group in json.loads(printed)["groups"]}
    group = groups[label]
    return group["ended"] / seconds, group["age"]["p50"], group["age"]["p99"]


def main() -> int:
    """Returns 1 where something does not agree."""
    if shutil.which("wrk") is None:
        sys.exit("groups_agree: wrk is not installed")
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # of what it starts as well
    wrong = 0
    for server in ("uvicorn", "aiohttp"):
        with tempfile.TemporaryDirectory(prefix="lt-") as directory:
            script, port = Path(directory) / "server.py", free_port()
            script.write_text(APP, encoding="utf-8")
            environ = {**os.environ, "LOOPTOP_DIR": directory}
            os.environ["LOOPTOP_DIR"] = directory
            command = [sys.executable, "-m", "monitor", "run", "--headless", str(script), server, str(port)]
            program = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda at=port: answers(at), f"{server} listens")  # type: ignore[misc]
                listed = subprocess.run(
                    [sys.executable, "-m", "monitor", "ps", "--json"], capture_output=True, text=True, check=True
                )
                found = json.loads(listed.stdout)
                pid = next(one["pid"] for one in found["programs"] if f"127.0.0.1:{port}" in one["ports"])
                for path, label in ROUTES.items():
                    *measured, seconds = by_wrk(f"http://127.0.0.1:{port}{path}")
                    time.sleep(1.0)
                    seen = by_looptop(pid, label, seconds)
                    for name, theirs, ours in zip(("rate", "p50", "p99"), measured, seen, strict=False):
                        agrees = abs(ours - theirs) <= 0.05 * theirs + (0.0 if name == "rate" else 1e-3)
                        wrong += not agrees
                        print(f"{server:8} {label:28} {name:5} wrk {theirs:9.4f}  looptop {ours:9.4f}  {agrees}")
            finally:
                program.terminate()
                program.wait()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
