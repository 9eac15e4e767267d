"""`looptop metrics` on workers that are killed and replaced: scraped by hand and by a real Prometheus, pushed as OTLP."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until
from watched import ROOT, Program, environment, free_port

from monitor.metrics import table

SUPERVISOR = """
import json, os, subprocess, sys, time
worker = json.loads(os.environ["WORKER"])
environ = {**os.environ, **worker}
running = [None, None]
while True:
    for slot, child in enumerate(running):
        if child is None or child.poll() is not None:
            running[slot] = subprocess.Popen([sys.executable, "worker.py", str(os.getpid())], env=environ)
            print("started", running[slot].pid, flush=True)
    time.sleep(0.05)
"""
WORKER = """
import asyncio, os, sys, time

async def job():
    await asyncio.sleep(0)

async def slow():
    await asyncio.sleep(0)
    time.sleep(0.15)

async def main():
    soon = time.monotonic() + 1
    while os.getppid() == int(sys.argv[1]):
        await asyncio.gather(*(asyncio.create_task(job()) for _ in range(10)))
        await asyncio.sleep(0.02)
        if time.monotonic() > soon:
            await asyncio.create_task(slow())
            soon = time.monotonic() + 1

asyncio.run(main())
"""


@contextmanager
def service(folder: Path) -> Iterator[Program]:
    """A parent without a loop, and two workers that it replaces."""
    (folder / "worker.py").write_text(WORKER)
    inside = environment()
    worker = {name: inside[name] for name in ("PYTHONPATH", "LOOPTOP_BOOT")}
    with Program(SUPERVISOR, folder=folder, boot=False, env={"WORKER": json.dumps(worker)}) as program:
        try:
            yield program
        finally:
            program.process.kill()  # its workers see that their parent has gone


@contextmanager
def metrics(folder: Path, *arguments: str) -> Iterator[list[str]]:
    """The command, running; yields the lines of its stderr."""
    command = [sys.executable, "-m", "monitor", "metrics", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: [lines.append(line) for line in process.stderr], daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 0, lines
        finally:
            process.kill()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def scrape(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^([^#\s].*?) ([-+.\deEInf]+)$", text, re.M)}


def up(found: dict[str, float]) -> set[str]:
    return {key for key, value in found.items() if key.startswith("looptop_worker_up") and value}


def test_workers_are_killed_and_no_counter_falls(tmp_path: Path) -> None:
    with service(tmp_path) as program, metrics(tmp_path, str(program.pid), "--prometheus", "127.0.0.1:0") as said:
        address = wait_until(lambda: re.search(r"http://\S+", "".join(said)), "the address")
        url = address.group()
        wait_until(lambda: len(up(scrape(url))) == 2, "both workers")
        before = scrape(url)
        scrapes = 0
        for kill in range(3):
            pids = [int(line.split()[1]) for line in program.out]
            os.kill(next(filter(runs, pids)), signal.SIGKILL)  # the one that has run for longest

            def replaced(wanted: int = kill + 3) -> bool:
                nonlocal before, scrapes
                now = scrape(url)
                scrapes += 1
                fallen = {
                    key: (before[key], now.get(key))
                    for key in before
                    if re.match(r"\w+_(total|bucket|count|sum)\b", key) and now.get(key, -1) < before[key]
                }
                assert not fallen, fallen
                before = now
                starts = [value for key, value in now.items() if key.startswith("looptop_worker_starts_total")]
                return sum(starts) >= wanted and len(up(now)) == 2

            wait_until(replaced, "the worker that takes its place")
        assert {key for key in before if key.startswith("looptop_worker_up")} == {
            'looptop_worker_up{worker="0"}',
            'looptop_worker_up{worker="1"}',
        }
        assert scrapes > 5

        def created() -> float:
            return sum(value for key, value in scrape(url).items() if key.startswith("asyncio_tasks_created_total"))

        wait_until(lambda: created() > 100, "tasks that were created")


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not on this machine (Debian: prometheus)")
def test_a_real_prometheus_scrapes_it(tmp_path: Path) -> None:
    with service(tmp_path) as program, metrics(tmp_path, str(program.pid), "--prometheus", "127.0.0.1:0") as said:
        address = wait_until(lambda: re.search(r"http://(\S+)/metrics", "".join(said)), "the address")
        config = tmp_path / "prometheus.yml"
        alerts = ROOT / "docs" / "metrics" / "alerts.yml"
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{alerts}']\n"
            f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{address.group(1)}']}}]}}]\n"
        )
        checked = subprocess.run(["promtool", "check", "rules", str(alerts)], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        with urllib.request.urlopen(address.group(), timeout=60) as answer:
            linted = subprocess.run(["promtool", "check", "metrics"], input=answer.read(), capture_output=True)
        assert linted.returncode == 0, linted.stderr.decode()
        listen = f"127.0.0.1:{free_port()}"
        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path}/tsdb",
                f"--web.listen-address={listen}",
            ],
            stderr=subprocess.DEVNULL,
        )
        try:

            def rates() -> bool:
                query = "sum by (worker) (rate(asyncio_task_steps_total[10s])) > 0"
                try:
                    with urllib.request.urlopen(
                        f"http://{listen}/api/v1/query?query={urllib.request.quote(query)}", timeout=5
                    ) as answer:
                        found = json.load(answer)["data"]["result"]
                except OSError:
                    return False
                return {one["metric"]["worker"] for one in found} == {"0", "1"}

            wait_until(rates, "rates of both workers in Prometheus")
        finally:
            server.terminate()
            server.wait(60)


def test_what_is_pushed_is_otlp(tmp_path: Path) -> None:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    requests = {
        "/v1/metrics": ExportMetricsServiceRequest,
        "/v1/logs": ExportLogsServiceRequest,
        "/v1/traces": ExportTraceServiceRequest,
    }
    bodies: dict[str, list[bytes]] = {path: [] for path in requests}

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            body = self.rfile.read(int(self.headers["Content-Length"]))
            zipped = self.headers.get("Content-Encoding") == "gzip"
            bodies[self.path].append(gzip.decompress(body) if zipped else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    def received(path: str) -> list[Any]:
        found = []
        for body in bodies[path]:
            request: Any = requests[path]()
            request.ParseFromString(body)
            found.append(request)
        return found

    def attributes(of: Any) -> dict[str, Any]:
        return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}

    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    try:
        push = ("--otlp", f"http://127.0.0.1:{receiver.server_port}", "--interval", "1", "--logs", "--spans", "3")
        with service(tmp_path) as program, metrics(tmp_path, str(program.pid), *push, "--service", "shop"):

            def values() -> dict[str, Any]:
                return {
                    metric.name: metric
                    for request in received("/v1/metrics")[-1:]
                    for resource in request.resource_metrics
                    for scope in resource.scope_metrics
                    for metric in scope.metrics
                }

            found = wait_until(lambda: (t := values()).get("asyncio.task.duration") and t, "groups of tasks")
            steps = found["asyncio.task.steps"]
            assert steps.sum.is_monotonic
            workers = {attributes(point)["worker"] for point in steps.sum.data_points}
            assert workers <= {"0", "1"} and workers
            delay = found["asyncio.eventloop.delay"].histogram.data_points[0]
            assert list(delay.explicit_bounds) == list(table.DELAY_BOUNDS)
            collections = found["cpython.gc.collections"].sum.data_points
            assert {attributes(point)["cpython.gc.generation"] for point in collections} >= {"0", "1", "2"}

            def blocked() -> list[Any]:
                return [
                    record
                    for request in received("/v1/logs")
                    for resource in request.resource_logs
                    for scope in resource.scope_logs
                    for record in scope.log_records
                    if record.event_name == "looptop.slow_callback"
                    and attributes(record).get("code.function.name") == "slow"  # not another one, on a crowded machine
                ]

            record = wait_until(blocked, "the record of a slow callback")[0]
            facts = attributes(record)
            assert facts["duration"] >= 0.1 and facts["worker"] in "01"

            def spans() -> list[Any]:
                return [
                    span
                    for request in received("/v1/traces")
                    for resource in request.resource_spans
                    for scope in resource.scope_spans
                    for span in scope.spans
                ]

            def slow() -> Any:
                return next((span for span in spans() if span.name == "slow" and not span.parent_span_id), None)

            whole, parts = wait_until(slow, "why the slowest tasks were late"), spans()
            assert attributes(whole)["asyncio.task.ran"] >= 0.1
            below = [part for part in parts if part.parent_span_id == whole.span_id]
            assert {attributes(part)["kind"] for part in below} >= {"ran", "queued"}
            assert all(part.trace_id == whole.trace_id for part in below)
            age = whole.end_time_unix_nano - whole.start_time_unix_nano
            assert sum(part.end_time_unix_nano - part.start_time_unix_nano for part in below) == pytest.approx(age)
    finally:
        receiver.shutdown()
        receiver.server_close()


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard = json.loads((ROOT / "docs" / "metrics" / "grafana.json").read_text())
    known = {metric.prometheus for metric in table.METRICS}
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += re.findall(r"expr: (.*)", (ROOT / "docs" / "metrics" / "alerts.yml").read_text())
    assert len(asked) >= 8
    for expression in asked:
        names = set(re.findall(r"\b(?:asyncio|looptop|process)_\w+", expression))
        assert names
        for name in names:
            assert re.sub(r"_(total|bucket|sum|count)$", "", name) in known or name in known, name
