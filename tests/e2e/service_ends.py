"""How workers of a set come and go: `python tests/e2e/service_ends.py oom|joins [NUMBER]` (`make oom`, `make joins`).

`oom`: the kernel's OOM killer ends a worker of uvicorn in a cgroup with a limit; the event must say so and name the black
box. Needs root and a writable cgroup; prints so if it has none. `joins`: NUMBER (200) workers come and go one after the
other, eight at a time; slots, pids and reasons must be right, and memory, threads and descriptors of the viewer must not
grow. Exit status 1 if anything is wrong.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE.parent), str(ROOT / "tests" / "monitor" / "fleet")]

from watched import free_port  # noqa: E402

from monitor.attach.worker_processes import WorkerProcesses, has_loop  # noqa: E402
from monitor.cli.target import Connector  # noqa: E402
from monitor.findings.thresholds import Thresholds  # noqa: E402
from monitor.fleet.base import ASKED  # noqa: E402
from monitor.fleet.fleet import Change, Fleet  # noqa: E402
from monitor.fleet.members import Members  # noqa: E402
from monitor.fleet.service import Service  # noqa: E402

EATER = """
import asyncio
import probes

probes.install()

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/eat":
        eaten = []
        while True:
            eaten.append(bytearray(b"x" * (4 << 20)))
            await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
LIMIT = 384 << 20
AT_A_TIME = 8
PARENT = """
import asyncio, os, signal, sys

def run():
    if int(sys.argv[1]):
        import probes
        probes.install()
    async def main():
        tasks = [asyncio.create_task(asyncio.sleep(600), name=f"job-{i}") for i in range(20)]
        await asyncio.wait(tasks)
    asyncio.run(main())

for line in sys.stdin:  # `start`, or a pid to end
    if line == "start\\n":
        child = os.fork()
        if not child:
            run()
    else:
        child = int(line)
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    print(child, flush=True)
"""


def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Cgroup:
    """A memory cgroup below our own, of version 1 or 2. Raises OSError where there is none to be had."""

    def __init__(self) -> None:
        names = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
        first = Path("/sys/fs/cgroup/memory")
        if "memory" in names and first.is_dir():
            own = first / names["memory"].lstrip("/")
            self.path = (own if own.is_dir() else first) / f"looptop-{os.getpid()}"
            self.path.mkdir()
            (self.path / "memory.limit_in_bytes").write_text(str(LIMIT))
        else:
            self.path = Path("/sys/fs/cgroup") / names.get("", "").lstrip("/") / f"looptop-{os.getpid()}"
            self.path.mkdir()
            (self.path / "memory.max").write_text(str(LIMIT))
            with suppress(OSError):
                (self.path / "memory.swap.max").write_text("0")

    def enter(self) -> None:
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def close(self) -> None:
        with suppress(OSError):
            self.path.rmdir()


def oom() -> int:
    try:
        cgroup = Cgroup()
    except OSError as error:
        print(f"no cgroup with a limit can be made here ({error}): not tried")
        return 0
    with tempfile.TemporaryDirectory() as name, closing(cgroup):
        folder = Path(name)
        (folder / "served.py").write_text(EATER)
        os.environ["LOOPTOP_DIR"] = name
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "served:app", "--port", str(port), "--workers", "2"]
        server = subprocess.Popen(
            [*command, "--log-level", "warning"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=cgroup.enter,
        )
        watch = None
        try:
            found = WorkerProcesses()
            until(lambda: len(found.of(server.pid)) == 2 and all(map(has_loop, found.of(server.pid))), "two workers")
            before = found.of(server.pid)
            out = (folder / "watched").open("w")
            watch = subprocess.Popen(
                [sys.executable, "-m", "monitor", "watch", "--json", str(server.pid)], cwd=ROOT, stdout=out
            )

            def events(kind: str) -> list[dict]:
                lines = (folder / "watched").read_text().splitlines(keepends=True)
                known = [json.loads(line) for line in lines if line.endswith("\n")]
                return [one for one in known if one["type"] == kind]

            until(lambda: len(events("worker_started")) == 2, "both to be joined")
            time.sleep(1.5)  # the box has been written
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/eat", timeout=60)
            until(lambda: events("worker_ended"), "the end of one")
            (end,) = events("worker_ended")
            until(lambda: len(events("worker_started")) == 3, "the one in its place")
            new = events("worker_started")[2]
            print(f"worker {end['worker']} ({end['pid']}): {end['reason']}; box {Path(end['box'] or '-').name}")
            print(f"in its place: worker {new['worker']} ({new['pid']})")
            said = subprocess.run(
                [sys.executable, "-m", "monitor", "postmortem", str(end["pid"]), "--json"],
                cwd=ROOT, capture_output=True, text=True, check=False,
            )  # fmt: skip
            right = {
                "the pid is that of a worker": end["pid"] in before,
                "the reason names the OOM killer": "OOM killer" in (end["reason"] or ""),
                "there is a box": bool(end["box"]) and Path(end["box"]).exists(),
                "postmortem reads it": bool(said.stdout) and "OOM killer" in said.stdout,
                "its slot is taken again": new["worker"] == end["worker"],
            }
            for text, holds in right.items():
                print(f"{'ok ' if holds else 'NOT'} {text}")
            return int(not all(right.values()))
        finally:
            for process in (watch, server):
                if process is not None:
                    process.send_signal(signal.SIGINT)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(20)
                    process.kill()
                    process.wait()


class Parent:
    """A process without a loop that forks workers and ends them, as it is told."""

    def __init__(self, with_probe: bool) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(int(with_probe))],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, what: object) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        for child in psutil.Process(self.process.pid).children():
            self.ask(child.pid)
        self.process.communicate(timeout=30)


def joins(number: int) -> int:
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        os.environ["LOOPTOP_DIR"] = name
        for with_probe in (True, False):
            wrong += _joins(number // 2, with_probe)
    for text in wrong:
        print(f"NOT {text}")
    return int(bool(wrong))


def _joins(number: int, with_probe: bool) -> list[str]:
    """The workers of one parent come and go; what was wrong."""
    wrong: list[str] = []
    mine = psutil.Process()
    changes: list[Change] = []
    sizes: list[tuple[int, int, int]] = []
    began = time.monotonic()
    with closing(Parent(with_probe)) as parent:
        living = [parent.ask("start") for _ in range(AT_A_TIME)]
        with closing(Fleet(Members([str(parent.process.pid)]), Connector(), ASKED)) as fleet:
            service = Service(fleet, Thresholds())

            def all_there() -> bool:
                changes.extend(service.step())
                rows = service.rows()
                return {row.pid for row in rows} == set(living) and all(row.tasks for row in rows)

            until(all_there, "the first workers")
            for count in range(number - AT_A_TIME):
                slots = {row.pid: row.worker for row in service.rows()}
                gone = living.pop(count * 5 % len(living))
                parent.ask(gone)
                new = parent.ask("start")
                living.append(new)
                until(all_there, f"worker {count} of {number}")
                now = {row.pid: row.worker for row in service.rows()}
                if now.pop(new) != slots.pop(gone) or now != slots:
                    wrong.append(f"slots: {slots} and then {now}, {gone} was replaced by {new}")
                if count % 10 == 0:
                    gc.collect()
                    sizes.append((mine.memory_info().rss, mine.num_fds(), mine.num_threads()))
            joined = [change.pid for change in changes if change.joined]
            left = [change.pid for change in changes if not change.joined]
            if len(joined) != number or len(set(joined)) != number or set(left) != set(joined) - set(living):
                wrong.append(f"{len(joined)} joined and {len(left)} left instead of {number} and {number - AT_A_TIME}")
    middle, last = sizes[len(sizes) // 2], sizes[-1]
    grown = last[0] - middle[0]
    if grown > 4 << 20 or last[1] > middle[1] + 4 or last[2] > middle[2] + 4:
        wrong.append(f"grown: {sizes}")
    print(
        f"{number} workers {'with a probe' if with_probe else 'entered'} in {time.monotonic() - began:.0f} s: viewer "
        f"{middle[0] / 2**20:.1f} MiB half way, {last[0] / 2**20:.1f} MiB at the end; descriptors {middle[1]} and "
        f"{last[1]}; threads {middle[2]} and {last[2]}"
    )
    return wrong


if __name__ == "__main__":
    sys.exit(oom() if sys.argv[1] == "oom" else joins(int(sys.argv[2]) if len(sys.argv) > 2 else 200))
