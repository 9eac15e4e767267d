"""`looptop metrics`: loop and task metrics of many programs, for Prometheus and OpenTelemetry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from monitor.cli.target import Connector, placed, placed_all, remote_options, token_option
from monitor.errors import UsageError
from monitor.guard import say
from monitor.remote import place

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.metrics.collector import Collector
    from monitor.metrics.push import Pusher

TICK = 0.25
FIRST_LOOK = 5.0
"""Seconds for which `--once` waits for all workers to answer."""
SETTLED = 1.5
"""Seconds over which `--once` measures rates."""


@click.command()
@click.argument("targets", nargs=-1, metavar="TARGET...", callback=placed)
@click.option(
    "--match",
    "names",
    multiple=True,
    metavar="NAME",
    help="Include programs of this name, also those that start later.",
)
@click.option("--prometheus", metavar="HOST:PORT", help="Serve /metrics at this address (127.0.0.1:9464).")
@click.option("--otlp", metavar="URL", help="Push OTLP over HTTP to this collector.")
@click.option(
    "--interval", type=click.FloatRange(1, 3600), default=15.0, metavar="S", help="Seconds between two pushes (15)."
)
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=20,
    metavar="K",
    help="Number of lines of code with a label of their own (20).",
)
@click.option("--logs", is_flag=True, help="Also push findings and slow callbacks, as OTLP log records.")
@click.option("--spans", type=click.IntRange(1, 100), metavar="N", help="Also push why the N slowest tasks were late.")
@click.option("--service", default="looptop", metavar="NAME", help="The service.name of pushed data (looptop).")
@click.option("--once", is_flag=True, help="Print the metrics once, as Prometheus text.")
@remote_options
@token_option
def metrics(
    targets: tuple[str, ...],
    names: tuple[str, ...],
    prometheus: str | None,
    otlp: str | None,
    interval: float,
    top: int,
    logs: bool,
    spans: int | None,
    service: str,
    once: bool,
    token_file: str | None,
) -> int:
    """Export loop and task metrics of many programs to Prometheus or OpenTelemetry.

    The pid of a parent means its workers. Without --otlp, --prometheus is 127.0.0.1:9464.
    """
    from monitor.attach.targets import check_running
    from monitor.fleet.members import Members
    from monitor.metrics.collector import Collector

    wanted = (*targets, *placed_all(f"@{name}" for name in names))
    if not wanted:
        raise UsageError("no TARGET", "give a pid, @NAME or HOST:PORT, or --match NAME")
    for target in wanted:
        if place.split(target) is None:
            check_running(target)
    if once and (prometheus or otlp):
        given = "--prometheus" if prometheus else "--otlp"
        raise UsageError(f"--once prints the metrics and ends, {given} is for metrics that go on", "give one of them")
    if (logs or spans) and not otlp:
        raise UsageError("--logs and --spans are pushed as OTLP", "give --otlp URL as well")
    collector = Collector(Members(wanted), Connector(token_file), top, logs=logs, spans=spans is not None)
    stops: list[Callable[[], None]] = [collector.close]
    try:
        if once:
            return _once(collector, targets)
        pusher = _pusher(otlp, service, stops, logs, spans) if otlp else None
        if prometheus or not otlp:
            _serve(prometheus or "127.0.0.1:9464", collector, stops)
        _run(collector, pusher, interval)
    except KeyboardInterrupt:
        return 0
    finally:
        for stop in reversed(stops):
            stop()
    return 0


def _serve(where: str, collector: Collector, stops: list[Callable[[], None]]) -> None:
    from monitor.metrics import prometheus
    from monitor.parsing import host_port

    place = host_port(where)
    if place is None or place[1] > 65535:
        raise UsageError(f"{where!r} is not HOST:PORT", "for example --prometheus 127.0.0.1:9464")
    stop, port = prometheus.serve(collector.points, *place)
    stops.append(stop)
    host = f"[{place[0]}]" if ":" in place[0] else place[0] or "127.0.0.1"
    say(f"metrics: http://{host}:{port}/metrics")


def _pusher(url: str, service: str, stops: list[Callable[[], None]], logs: bool, spans: int | None) -> Pusher:
    from monitor.metrics.otlp import Exporter
    from monitor.metrics.push import Pusher
    from probes.base.protocol import VERSION

    events = None
    if logs or spans:
        from monitor.metrics.otlp_events import EventExporter

        events = EventExporter(url, service, VERSION)
    pusher = Pusher(Exporter(url, service, VERSION), events, spans or 0, url, say)
    stops.append(pusher.close)
    return pusher


def _run(collector: Collector, pusher: Pusher | None, interval: float) -> None:
    due = time.monotonic() + min(interval, SETTLED)
    reported: set[str] = set()
    while True:
        collector.step()
        for problem in collector.problems():
            if problem not in reported and len(reported) < 1000 and "connecting" not in problem:
                reported.add(problem)
                say(problem)
        if pusher is not None and time.monotonic() >= due:
            due = time.monotonic() + interval
            pusher.push(collector)
        time.sleep(TICK)


def _once(collector: Collector, targets: tuple[str, ...]) -> int:
    """Print the metrics once. `targets`: what must be there; programs of a `--match` need not be."""
    from monitor.attach.targets import resolve
    from monitor.errors import ConnectError
    from monitor.metrics import prometheus
    from monitor.sources.live import NEXT_TRY

    prometheus.text(list)  # reports a missing library before attaching to anything
    until = time.monotonic() + FIRST_LOOK
    settled = 0.0
    while time.monotonic() < until:
        collector.step()
        if collector.up and not collector.problems():
            settled = settled or time.monotonic()
            if time.monotonic() - settled >= SETTLED:
                break
        time.sleep(TICK)
    problems = collector.problems()
    for problem in problems:
        say(problem.partition(NEXT_TRY)[0])
    if targets and not collector.up and not problems:
        if place.split(targets[0]) is None:
            resolve(targets[0])  # raises with the reason
        raise ConnectError(f"{targets[0]} has no process that can be watched", "looptop ps lists what runs")
    print(prometheus.text(collector.points), end="")  # noqa: T201 - this is the output
    return 0 if collector.up or not targets else 3
