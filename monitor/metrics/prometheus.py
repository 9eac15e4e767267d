"""Serves the aggregate as Prometheus or OpenMetrics text with `prometheus_client` (an extra).

Uses a registry of its own, because the default one has the process metrics of looptop itself, which would be taken for
the program's.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

from monitor.errors import LooptopError, UsageError
from monitor.metrics import table
from monitor.metrics.aggregate import Histogram, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 10.0
"""Seconds for which a connection may be silent; each has a thread."""
MOST_CLIENTS = 20
"""Connections at a time. One more ends the oldest, so that a crowd that says nothing does not keep Prometheus out."""
_MISSING = "pip install 'looptop[metrics]'"


def _library() -> Any:
    try:
        import prometheus_client
        import prometheus_client.core
        import prometheus_client.openmetrics.exposition
        import prometheus_client.registry
    except ImportError:
        raise UsageError("Prometheus metrics need the package prometheus_client", _MISSING) from None
    return prometheus_client


class Collector:
    """The collector that `prometheus_client` reads at each scrape."""

    def __init__(self, points: Callable[[], list[Point]]) -> None:
        self._points = points
        self._core = _library().core

    def describe(self) -> list[Any]:
        """Return nothing, so that registering does not read a sample."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield the families of one scrape, each with the samples of all workers."""
        families: dict[str, Any] = {}
        for point in self._points():
            family = families.get(point.metric.prometheus)
            if family is None:
                family = families[point.metric.prometheus] = self._family(point.metric)
            _add(family, point)
        yield from families.values()

    def _family(self, metric: table.Metric) -> Any:
        kinds = {
            table.COUNTER: self._core.CounterMetricFamily,
            table.GAUGE: self._core.GaugeMetricFamily,
            table.HISTOGRAM: self._core.HistogramMetricFamily,
        }
        return kinds[metric.kind](metric.prometheus, metric.help, labels=("worker", *metric.labels))


def _add(family: Any, point: Point) -> None:
    if not isinstance(point.value, Histogram):
        family.add_metric(point.labels, point.value)
        return
    buckets, total = [], 0
    bounds = (*map(str, table.DELAY_BOUNDS), "+Inf")
    for number, (bound, count) in enumerate(zip(bounds, point.value.counts, strict=True)):
        total += count
        one = point.value.exemplars.get(number)
        exemplar = None if one is None else _library().core.Exemplar({"task": str(one.task)}, one.value, one.at)
        buckets.append((bound, total, exemplar))
    family.add_metric(point.labels, buckets, sum_value=point.value.sum)


def registry(points: Callable[[], list[Point]]) -> Any:
    """Return a registry with the aggregate only."""
    made = _library().registry.CollectorRegistry(auto_describe=False)
    made.register(Collector(points))
    return made


def text(points: Callable[[], list[Point]]) -> str:
    """Return one scrape in Prometheus' text format."""
    found: bytes = _library().generate_latest(registry(points))
    return found.decode()


def serve(points: Callable[[], list[Point]], host: str, port: int) -> tuple[Callable[[], None], int]:
    """Serve `/metrics` in a thread; return a function that stops it, and the port. Raises LooptopError."""
    library = _library()
    try:
        server, thread = library.start_http_server(port, addr=host or "127.0.0.1", registry=registry(points))
    except OSError as error:
        raise LooptopError(f"cannot serve on {host}:{port}: {error.strerror or error}", "choose another port") from None
    handler = server.RequestHandlerClass
    server.RequestHandlerClass = type(handler.__name__, (handler,), {"timeout": PATIENCE})
    server.socket.listen(MOST_CLIENTS)  # five more would have to knock again after a second
    _limit(server)
    server.handle_error = lambda *_: None  # a client that leaves or says nothing: no traceback on the terminal

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(2.0)

    return stop, int(server.server_port)


def _limit(server: Any) -> None:
    """Make a server, which has a thread for each connection, end the oldest of too many."""
    connections: dict[socket.socket, None] = {}  # oldest first
    lock = threading.Lock()
    begin, work = server.process_request, server.process_request_thread

    def process_request(request: socket.socket, address: object) -> None:
        with lock:
            connections[request] = None
            if len(connections) > MOST_CLIENTS:
                oldest = next(iter(connections))
                del connections[oldest]
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread ends, and closes it
        begin(request, address)

    def process_request_thread(request: socket.socket, address: object) -> None:
        try:
            work(request, address)
        finally:
            with lock:
                connections.pop(request, None)

    server.process_request, server.process_request_thread = process_request, process_request_thread
