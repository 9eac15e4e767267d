"""Which struct of the store belongs to which struct of the protocol, and what `codec` cannot convert by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.protocol import frames, keyframes, rows
from monitor.protocol.rows import SECOND, BlockedRow, WaitRow, us
from monitor.store.codec import Codec
from monitor.store.model import (
    Block,
    CancelledBy,
    EndedTask,
    GilHolder,
    Loop,
    NeverAwaited,
    Notice,
    Probe,
    Process,
    Session,
    SiteStats,
    SlowCallback,
    Task,
    TaskDetail,
    Unhandled,
    Wait,
)

if TYPE_CHECKING:
    from monitor.store.tables import TableEncoder, Tables

SESSION = Codec(Session, frames.Hello, id="session")
BLOCK = Codec(Block, BlockedRow)
CANCELLED_BY = Codec(CancelledBy, rows.CancelledBy)
GIL_HOLDER = Codec(GilHolder, rows.GilHolder)
LOOP = Codec(Loop, keyframes.LoopState)
SITE = Codec(SiteStats, keyframes.SiteState)
PROBE = Codec(Probe, keyframes.ProbeState)
PROCESS = Codec(Process, keyframes.ProcessState)
PROBE_FACTS = Codec(Probe, frames.ProbeFacts)
PROCESS_FACTS = Codec(Process, frames.ProcessFacts)

ENDED_TASK = Codec(EndedTask, frames.Event, id="task", ended="at", failure="exception")
SLOW_CALLBACK = Codec(SlowCallback, frames.Event)
UNHANDLED = Codec(Unhandled, frames.Event, failure="exception")
NEVER_AWAITED = Codec(NeverAwaited, frames.Event, defined="site")
NOTICE = Codec(Notice, frames.Event)

WAIT = Codec(Task, WaitRow, wait_kind="kind", wait_text="text")
_DETAIL = Codec(TaskDetail, frames.Detail)
MADE_HERE = "made here"


def never_awaited_of(event: frames.Event, tables: Tables) -> NeverAwaited:
    """Convert the event of a coroutine never awaited; its text says whether the dropping line also made it."""
    return NEVER_AWAITED.decode(event, tables, made_here=event.text == MADE_HERE)


def detail_of(detail: frames.Detail, tables: Tables) -> TaskDetail:
    """Convert the details of a task that a viewer looks at."""
    wait = None
    if detail.waiting_on is not None:
        facts = dict(detail.waiting_on)
        kind, text = str(facts.pop("kind", "future")), str(facts.pop("repr", ""))
        wakes_at = facts.get("wakes_at")
        if isinstance(wakes_at, int):
            facts["wakes_at"] = wakes_at * SECOND if abs(wakes_at) < 1 << 62 else None
        wait = Wait(kind, text, facts)
    histogram = detail.histogram
    return _DETAIL.decode(
        detail,
        tables,
        waiting_on=wait,
        step_counts=None if histogram is None else tuple(histogram.steps),
        schedule_counts=None if histogram is None else tuple(histogram.schedules),
    )


def detail_frame(detail: TaskDetail, numbers: TableEncoder) -> frames.Detail:
    """The inverse of `detail_of`."""
    histogram = None
    if detail.step_counts is not None and detail.schedule_counts is not None:
        histogram = frames.Histogram(list(detail.step_counts), list(detail.schedule_counts))
    waiting_on: dict[str, Any] | None = None
    if detail.waiting_on is not None:
        waiting_on = {"kind": detail.waiting_on.kind, "repr": detail.waiting_on.repr, **detail.waiting_on.facts}
        wakes_at = waiting_on.get("wakes_at")
        if isinstance(wakes_at, float):
            waiting_on["wakes_at"] = us(wakes_at)
    return _DETAIL.encode(detail, numbers, waiting_on=waiting_on, histogram=histogram)
