"""Exports the aggregate as OTLP: builds data points and sends them with opentelemetry-python's exporter.

The SDK's instruments are not used, because they count in their own process and reset with it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from monitor.errors import UsageError
from monitor.metrics import table
from monitor.metrics.aggregate import Histogram, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MISSING = "pip install 'looptop[otlp]'"


def library_missing() -> UsageError:
    """Return the error that says what to install."""
    return UsageError("OTLP needs the packages of opentelemetry", _MISSING)


def endpoint(url: str, signal: str) -> str:
    """Return the URL of a collector for one signal: metrics, logs or traces."""
    return f"{url.rstrip('/').removesuffix('/v1/metrics')}/v1/{signal}"


class Exporter:
    """Pushes the aggregate to an OTLP/HTTP endpoint, as often as `push` is called."""

    def __init__(self, url: str, service: str, version: str) -> None:
        """`url`: a collector, with or without /v1/metrics. Raises UsageError if the library is missing."""
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.sdk.metrics import Exemplar, export
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        except ImportError:
            raise library_missing() from None
        self._export: Any = export
        self._exemplar: Any = Exemplar
        self._exporter = OTLPMetricExporter(endpoint=endpoint(url, "metrics"), timeout=5)
        self._resource = Resource({"service.name": service})
        self._scope = InstrumentationScope("looptop", version)
        self._started = time.time_ns()

    def push(self, points: Sequence[Point]) -> bool:
        """Send all values once. False if the collector did not accept them."""
        result = self._exporter.export(self._data(points))
        return bool(result == self._export.MetricExportResult.SUCCESS)

    def close(self) -> None:
        """Export what is pending and shut the exporter down."""
        self._exporter.shutdown()

    def _data(self, points: Sequence[Point]) -> Any:
        now = time.time_ns()
        by_metric: dict[table.Metric, list[Any]] = {}
        for point in points:
            by_metric.setdefault(point.metric, []).append(self._point(point, now))
        metrics = [
            self._export.Metric(metric.name, metric.help, metric.unit, self._kind(metric)(found))
            for metric, found in by_metric.items()
        ]
        scope = self._export.ScopeMetrics(self._scope, metrics, "")
        return self._export.MetricsData([self._export.ResourceMetrics(self._resource, [scope], "")])

    def _kind(self, metric: table.Metric) -> Callable[[list[Any]], Any]:
        cumulative = self._export.AggregationTemporality.CUMULATIVE
        if metric.kind == table.COUNTER:
            return lambda found: self._export.Sum(found, cumulative, is_monotonic=True)
        if metric.kind == table.HISTOGRAM:
            return lambda found: self._export.Histogram(found, cumulative)
        return lambda found: self._export.Gauge(found)

    def _point(self, point: Point, now: int) -> Any:
        names = [table.ATTRIBUTES.get(label, label) for label in point.metric.labels]
        attributes = dict(zip(("worker", *names), point.labels, strict=True))
        if not isinstance(point.value, Histogram):
            return self._export.NumberDataPoint(attributes, self._started, now, point.value)
        counts = point.value.counts
        return self._export.HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self._started,
            time_unix_nano=now,
            count=sum(counts),
            sum=point.value.sum,
            bucket_counts=tuple(counts),
            explicit_bounds=table.DELAY_BOUNDS,
            min=0.0,
            max=0.0,
            exemplars=[
                self._exemplar({"task": one.task}, one.value, int(one.at * 1e9))
                for one in point.value.exemplars.values()
            ],
        )
