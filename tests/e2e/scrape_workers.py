"""Scrapes `looptop metrics` while workers of uvicorn are killed: `python tests/e2e/scrape_workers.py [SCRAPES]`.

Not part of the suite; `make scrapes` does it a thousand times. Exit status 1 if a scrape is incomplete, a counter falls, or a
worker is missing. Prints what a scrape costs.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

WORKERS = 4
KILL_EVERY = 3.0
APP = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await asyncio.sleep(0.005)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
REQUEST = b"GET /orders/17 HTTP/1.1\r\nHost: here\r\n\r\n"


async def request(port: int, until: float) -> None:
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while time.monotonic() < until:
                writer.write(REQUEST)
                if not await reader.readline():
                    break
                await reader.readuntil(b"ok")
                await asyncio.sleep(0.02)
            writer.close()
        except OSError:
            await asyncio.sleep(0.05)  # the worker was killed
        except asyncio.IncompleteReadError:
            pass


def scrape(url: str) -> tuple[dict[str, float], int]:
    """Values by series, and bytes. Raises ValueError for text that is not whole."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        body = answer.read()
    text = body.decode()
    if text and not text.endswith("\n"):
        raise ValueError("cut")
    found = {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return found, len(body)


def workers(parent: int) -> list[psutil.Process]:
    try:
        below = psutil.Process(parent).children()
        return [one for one in below if any("spawn_main" in word for word in one.cmdline())]
    except psutil.Error:
        return []


def wrong_with(found: dict[str, float], before: dict[str, float]) -> list[str]:
    counts = re.compile(r"\w+_(total|bucket|count|sum)\b")
    fallen = [key for key, value in before.items() if counts.match(key) and found.get(key, -1.0) < value]
    here = {key for key in found if key.startswith("looptop_worker_up")}
    lost = [] if len(here) == WORKERS else [f"{len(here)} workers"]
    return [f"{key} fell from {before[key]} to {found.get(key)}" for key in fallen] + lost


def main() -> int:
    scrapes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o700)
        (folder / "served.py").write_text(APP)
        environ = {**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder), "PYTHONPATH": name}
        port = 18000 + os.getpid() % 1000
        command = [sys.executable, "-m", "uvicorn", "served:app", "--port", str(port), "--workers", str(WORKERS)]
        with open(folder / "log", "w") as log:
            server = subprocess.Popen([*command, "--log-level", "warning"], cwd=folder, env=environ, stderr=log)
        load = subprocess.Popen([sys.executable, __file__, "load", str(port)])
        watch = [sys.executable, "-m", "monitor", "metrics", str(server.pid), "--prometheus", "127.0.0.1:0"]
        metrics = subprocess.Popen(watch, env=environ, stderr=subprocess.PIPE, text=True)
        try:
            return judge(server.pid, metrics, scrapes)
        finally:
            for process in (load, metrics, server):
                process.send_signal(signal.SIGTERM)
            for process in (load, metrics, server):
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()


def judge(parent: int, metrics: "subprocess.Popen[str]", scrapes: int) -> int:
    assert metrics.stderr is not None
    url = None
    while url is None:
        line = metrics.stderr.readline()
        assert line, "looptop metrics ended"
        found = re.search(r"http://\S+", line)
        url = found.group() if found else None
    deadline = time.monotonic() + 60
    before: dict[str, float] = {}
    while sum(value for key, value in before.items() if key.startswith("looptop_worker_up")) < WORKERS:
        assert time.monotonic() < deadline, "not all workers came"
        before, _ = scrape(url)
        time.sleep(0.2)
    collector = psutil.Process(metrics.pid)
    cpu, began = sum(collector.cpu_times()[:2]), time.monotonic()
    wrong, kills, size, killed_at = [], 0, 0, time.monotonic()
    for number in range(scrapes):
        if time.monotonic() - killed_at > KILL_EVERY:
            alive = workers(parent)
            if alive:
                min(alive, key=lambda one: one.create_time()).kill()
                kills, killed_at = kills + 1, time.monotonic()
        try:
            found_now, size = scrape(url)
        except (OSError, ValueError) as error:
            wrong.append(f"scrape {number}: {error}")
            continue
        wrong += [f"scrape {number}: {why}" for why in wrong_with(found_now, before)]
        before = found_now
        time.sleep(0.03)
    seconds = time.monotonic() - began
    spent = sum(collector.cpu_times()[:2]) - cpu
    print(f"{scrapes} scrapes in {seconds:.0f} s while {kills} workers were killed: {len(wrong)} wrong")
    print(f"{size} bytes and {len(before)} series a scrape of {WORKERS} workers")
    print(
        f"the collector took {100 * spent / seconds:.1f} % of a core, {1000 * spent / scrapes:.2f} ms of CPU a scrape at most"
    )
    print(f"it uses {collector.memory_info().rss >> 20} MiB")
    groups = {group for key in before for group in re.findall(r"'group', '(.*?)'", key)}
    print("groups:", ", ".join(sorted(groups)) or "none")
    print(*wrong[:20], sep="\n")
    return 1 if wrong or kills < scrapes // 200 else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:

        async def loads() -> None:
            until = time.monotonic() + 3600
            await asyncio.gather(*(request(int(sys.argv[2]), until) for _ in range(20)))

        asyncio.run(loads())
    else:
        sys.exit(main())
