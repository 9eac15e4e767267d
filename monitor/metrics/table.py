"""Every metric, declared once: its names, unit, labels and meaning. docs/metrics.md is made from this table.

Names follow OpenTelemetry where a convention exists (`process.*`, `asyncio.*` as in its Python contributions).
Prometheus names are derived from them by its rules for units and suffixes.
"""

from __future__ import annotations

from dataclasses import dataclass

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

DELAY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of all histograms, in seconds."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `labels` follow `worker`, which every metric has."""

    name: str  # OpenTelemetry name
    prometheus: str  # without the suffix _total of counters
    kind: str
    unit: str
    help: str
    labels: tuple[str, ...] = ()


UP = Metric("looptop.worker.up", "looptop_worker_up", GAUGE, "1", "1 while the worker is watched, 0 while it is not.")
STARTS = Metric(
    "looptop.worker.starts", "looptop_worker_starts", COUNTER, "{process}", "Processes that have been in this slot."
)
DELAY = Metric(
    "asyncio.eventloop.delay",
    "asyncio_eventloop_delay_seconds",
    HISTOGRAM,
    "s",
    "How late a callback due now would start: the worst of each look, about one a second.",
    ("loop",),
)
TIME = Metric(
    "asyncio.eventloop.time",
    "asyncio_eventloop_time_seconds",
    COUNTER,
    "s",
    "Time that the loop spent running callbacks (active) or waiting for events (idle).",
    ("loop", "state"),
)
UTILIZATION = Metric(
    "asyncio.eventloop.utilization",
    "asyncio_eventloop_utilization_ratio",
    GAUGE,
    "1",
    "Share of wall time that the loop spent running callbacks, over the last second.",
    ("loop",),
)
BLOCKED = Metric(
    "asyncio.eventloop.blocked.duration",
    "asyncio_eventloop_blocked_duration_seconds",
    HISTOGRAM,
    "s",
    "Callbacks longer than the threshold, by the line that was blamed; the most costly lines, the rest as other.",
    ("line",),
)
BLOCKED_NOW = Metric(
    "asyncio.eventloop.blocked.current",
    "asyncio_eventloop_blocked_current_seconds",
    GAUGE,
    "s",
    "For how long the callback that runs now has been running; 0 for a loop that is not blocked.",
    ("loop",),
)
READY = Metric(
    "asyncio.eventloop.ready.count", "asyncio_eventloop_ready", GAUGE, "{callback}", "Callbacks that wait.", ("loop",)
)
TIMERS = Metric(
    "asyncio.eventloop.timer.count", "asyncio_eventloop_timers", GAUGE, "{timer}", "Timers that are set.", ("loop",)
)
STEPS = Metric("asyncio.task.steps", "asyncio_task_steps", COUNTER, "{step}", "Steps of tasks.", ("loop",))
TASKS = Metric("asyncio.task.count", "asyncio_tasks", GAUGE, "{task}", "Live tasks.")
CREATED = Metric(
    "asyncio.task.created",
    "asyncio_tasks_created",
    COUNTER,
    "{task}",
    "Tasks that were created, by the line that created them; the busiest lines, the rest as other.",
    ("site",),
)
ENDED = Metric(
    "asyncio.task.ended",
    "asyncio_tasks_ended",
    COUNTER,
    "{task}",
    "Tasks that ended, by the line that created them and by outcome: done, cancelled or failed.",
    ("site", "outcome"),
)
UNHANDLED = Metric(
    "asyncio.exception.unhandled",
    "asyncio_exceptions_unhandled",
    COUNTER,
    "{exception}",
    "Calls of a loop's exception handler.",
)
LIVE = Metric(
    "asyncio.task.group.count",
    "asyncio_task_group_tasks",
    GAUGE,
    "{task}",
    "Live tasks, by group: coroutine and label, such as a route.",
    ("group",),
)
DURATION = Metric(
    "asyncio.task.duration",
    "asyncio_task_duration_seconds",
    HISTOGRAM,
    "s",
    "Ages of ended tasks, by group; the busiest groups, the rest as other.",
    ("group",),
)
OUTCOMES = Metric(
    "asyncio.task.group.ended",
    "asyncio_task_group_ended",
    COUNTER,
    "{task}",
    "Tasks that ended, by group and outcome: done, cancelled or failed.",
    ("group", "outcome"),
)
ERRORS = Metric(
    "asyncio.task.group.errors",
    "asyncio_task_group_errors",
    COUNTER,
    "{response}",
    "Responses with status 500 and above, by group, where the status can be read.",
    ("group",),
)
PARTS = Metric(
    "asyncio.task.time",
    "asyncio_task_time_seconds",
    COUNTER,
    "s",
    "Where the ages of ended tasks went, by group: ran (inside steps), queued (ready behind others) or waited.",
    ("group", "part"),
)
GC_RUNS = Metric(
    "cpython.gc.collections",
    "cpython_gc_collections",
    COUNTER,
    "{collection}",
    "Runs of the garbage collector, by generation.",
    ("generation",),
)
GC_COLLECTED = Metric(
    "cpython.gc.collected_objects",
    "cpython_gc_collected_objects",
    COUNTER,
    "{object}",
    "Objects that the garbage collector freed, by generation.",
    ("generation",),
)
GC_UNCOLLECTABLE = Metric(
    "cpython.gc.uncollectable_objects",
    "cpython_gc_uncollectable_objects",
    COUNTER,
    "{object}",
    "Objects that the garbage collector could not free, by generation.",
    ("generation",),
)
GC_DURATION = Metric(
    "cpython.gc.duration",
    "cpython_gc_duration_seconds",
    HISTOGRAM,
    "s",
    "How long runs of the garbage collector took, by generation; nothing else of the program runs meanwhile.",
    ("generation",),
)
CPU = Metric("process.cpu.time", "process_cpu_seconds", COUNTER, "s", "CPU time of the process.")
MEMORY = Metric("process.memory.usage", "process_resident_memory_bytes", GAUGE, "By", "Resident memory.")
FDS = Metric("process.open_file_descriptor.count", "process_open_fds", GAUGE, "{descriptor}", "Open file descriptors.")
THREADS = Metric("process.thread.count", "process_threads", GAUGE, "{thread}", "Threads of the process.")

ATTRIBUTES = {"generation": "cpython.gc.generation", "line": "code.function.name", "outcome": "asyncio.task.outcome"}
"""OpenTelemetry names of labels, where they differ from the Prometheus ones."""

METRICS = (
    UP,
    STARTS,
    DELAY,
    TIME,
    UTILIZATION,
    BLOCKED,
    BLOCKED_NOW,
    READY,
    TIMERS,
    STEPS,
    TASKS,
    CREATED,
    ENDED,
    LIVE,
    DURATION,
    OUTCOMES,
    ERRORS,
    PARTS,
    UNHANDLED,
    GC_RUNS,
    GC_COLLECTED,
    GC_UNCOLLECTABLE,
    GC_DURATION,
    CPU,
    MEMORY,
    FDS,
    THREADS,
)
