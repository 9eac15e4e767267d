"""Exports findings and slow callbacks as OTLP log records, and why the slowest tasks were late as spans.

The records and spans are made here, from what probes report; opentelemetry-python's exporters send them.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from monitor.metrics.otlp import endpoint, library_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.metrics.reporter import News
    from monitor.store.model import Site
    from monitor.trace.explain import Reason
    from monitor.trace.parts import Part

MOST_PARTS = 100
"""Limit of child spans of a task: its longest parts."""


class EventExporter:
    """Pushes log records and spans to an OTLP/HTTP endpoint."""

    def __init__(self, url: str, service: str, version: str) -> None:
        """`url`: a collector, with or without /v1/metrics. Raises UsageError if the library is missing."""
        try:
            from opentelemetry import trace
            from opentelemetry._logs import LogRecord, SeverityNumber
            from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk._logs import ReadableLogRecord
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import ReadableSpan
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        except ImportError:
            raise library_missing() from None
        self._trace: Any = trace
        self._log: Any = LogRecord
        self._readable_log: Any = ReadableLogRecord
        self._span: Any = ReadableSpan
        self._severity: Any = SeverityNumber
        self._logs: Any = OTLPLogExporter(endpoint=endpoint(url, "logs"), timeout=5)
        self._spans: Any = OTLPSpanExporter(endpoint=endpoint(url, "traces"), timeout=5)
        self._resource = Resource({"service.name": service})
        self._scope = InstrumentationScope("looptop", version)

    def push_logs(self, news: Mapping[int, Sequence[News]]) -> bool:
        """Send log records, by worker. False if the collector did not accept them."""
        records = [self._record(worker, one) for worker, events in news.items() for one in events]
        return not records or self._logs.export(records).name == "SUCCESS"

    def push_spans(self, reasons: Mapping[int, Sequence[Reason]]) -> bool:
        """Send a span for each task, and below it one for each part of its age. False if they were not accepted."""
        spans = [span for worker, found in reasons.items() for one in found for span in self._spans_of(worker, one)]
        return not spans or self._spans.export(spans).name == "SUCCESS"

    def close(self) -> None:
        """Shut the exporters down."""
        self._logs.shutdown()
        self._spans.shutdown()

    def _record(self, worker: int, news: News) -> Any:
        severity = self._severity.ERROR if news.bad else self._severity.WARN
        record = self._log(
            timestamp=int(news.at * 1e9),
            observed_timestamp=time.time_ns(),
            severity_number=severity,
            severity_text=severity.name,
            body=news.text,
            attributes={"worker": str(worker), **_place(news.site), **news.attributes},
            event_name=f"looptop.{news.name}",
        )
        return self._readable_log(record, self._resource, self._scope)

    def _spans_of(self, worker: int, reason: Reason) -> list[Any]:
        trace_id, life = random.getrandbits(128) or 1, reason.life
        context = self._context(trace_id)
        attributes = {"worker": str(worker), "asyncio.task.id": life.id, "asyncio.task.outcome": life.outcome}
        for kind in ("ran", "queued", "waited", "unknown"):
            attributes[f"asyncio.task.{kind}"] = reason.total(kind) / 1e9
        whole = self._made(
            life.coro or life.title, context, None, reason.started, reason.started + reason.age, attributes
        )
        parts = sorted(reason.parts, key=lambda part: -part.duration)[:MOST_PARTS]
        return [whole, *(self._part(part, context) for part in sorted(parts, key=lambda part: part.start))]

    def _part(self, part: Part, parent: Any) -> Any:
        attributes: dict[str, Any] = {"kind": part.kind, **_place(part.at)}
        name = part.kind
        if part.on is not None:
            name = f"waited on {part.on.kind}"
            attributes["on"] = part.on.repr or part.on.kind
        if part.behind:
            name = f"queued behind {part.behind[0].name}"
            attributes["behind"] = [f"{one.name} {one.duration / 1e6:.3g} ms" for one in part.behind]
        if part.woken_by is not None:
            attributes["woken_by"] = part.woken_by.name or part.woken_by.kind
        return self._made(name, self._context(parent.trace_id), parent, part.start, part.end, attributes)

    def _context(self, trace_id: int) -> Any:
        flags = self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED)
        return self._trace.SpanContext(trace_id, random.getrandbits(64) or 1, is_remote=False, trace_flags=flags)

    def _made(self, name: str, context: Any, parent: Any, start: int, end: int, attributes: dict[str, Any]) -> Any:
        return self._span(
            name=name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            start_time=start,
            end_time=end,
            instrumentation_scope=self._scope,
        )


def _place(site: Site | None) -> dict[str, str | int]:
    if site is None:
        return {}
    return {"code.file.path": site.file, "code.line.number": site.line, "code.function.name": site.function}
