"""What a frame tells, as the model has it: numbers looked up in the tables, microseconds as seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.microseconds import SECOND, seconds_or_none
from monitor.store.model import (
    Block,
    CancelledBy,
    EndedTask,
    Failure,
    GilHolder,
    NeverAwaited,
    Notice,
    Session,
    SlowCallback,
    TaskDetail,
    Unhandled,
    Wait,
)

if TYPE_CHECKING:
    from monitor.protocol import frames
    from monitor.protocol.rows import BlockedRow
    from monitor.store.tables import Tables


def session_of(hello: frames.Hello) -> Session:
    """Who is watched."""
    return Session(
        id=hello.session,
        pid=hello.pid,
        started=hello.started * SECOND,
        opened=hello.opened * SECOND,
        name=hello.name,
        program=hello.program,
        cwd=hello.cwd,
        host=hello.host,
        user=hello.user,
        python=hello.python,
        implementation=hello.implementation,
        probe=hello.probe,
        hooks=hello.hooks,
        capabilities=frozenset(hello.capabilities),
        settings=hello.settings,
        paths=hello.paths,
    )


def detail_of(detail: frames.Detail, tables: Tables) -> TaskDetail:
    """What is collected of a task that somebody looks at."""
    wait = None
    if detail.waiting_on is not None:
        facts = dict(detail.waiting_on)
        kind, text = str(facts.pop("kind", "future")), str(facts.pop("repr", ""))
        wakes_at = facts.get("wakes_at")
        if isinstance(wakes_at, int):
            facts["wakes_at"] = wakes_at * SECOND if abs(wakes_at) < 1 << 62 else None
        wait = Wait(kind, text, facts)
    return TaskDetail(
        id=detail.id,
        await_stack=tables.stack(detail.await_stack),
        await_tasks=tuple(detail.await_tasks),
        waiting_on=wait,
        awaited_by=tuple(detail.awaited_by),
        origin=None if detail.origin is None else tables.stack(detail.origin),
        step_counts=None if detail.histogram is None else tuple(detail.histogram.steps),
        schedule_counts=None if detail.histogram is None else tuple(detail.histogram.schedules),
    )


def slow_callback_of(event: frames.Event, tables: Tables) -> SlowCallback:
    """What blocked a loop."""
    return SlowCallback(
        seq=event.seq,
        at=event.at * SECOND,
        duration=event.duration * SECOND,
        starved=event.starved * SECOND,
        gil=event.gil * SECOND,
        held_by=holder_of(event.held_by, tables),
        at_least=event.at_least,
        loop=event.loop,
        task=event.task,
        name=event.name,
        callback=event.callback,
        stack=tables.stack(event.stack),
        blame=event.blame,
        samples=event.samples,
    )


def holder_of(holder: frames.GilHolder | None, tables: Tables) -> GilHolder | None:
    """Who had the GIL."""
    if holder is None:
        return None
    return GilHolder(holder.thread, holder.threads, tables.stack(holder.stack), holder.blame)


def block_of(row: BlockedRow, tables: Tables) -> Block:
    """Where a loop is that is blocked now."""
    return Block(row.at_least, row.starved * SECOND, tables.stack(row.stack), row.blame)


def ended_task_of(event: frames.Event, tables: Tables) -> EndedTask:
    """How a task ended."""
    return EndedTask(
        id=event.task or 0,
        name=event.name or "",
        coro=event.coro,
        outcome=event.outcome,
        ended=event.at * SECOND,
        age=seconds_or_none(event.age),
        busy=seconds_or_none(event.busy),
        scheduled=seconds_or_none(event.scheduled),
        steps=event.steps,
        max_step=seconds_or_none(event.max_step),
        site=tables.site(event.site),
        parent=event.parent,
        loop=event.loop,
        failure=_failure_of(event.exception, tables),
        cancelled_by=canceller_of(event.cancelled_by, tables),
    )


def unhandled_of(event: frames.Event, tables: Tables) -> Unhandled:
    """What a loop's exception handler was called with."""
    return Unhandled(
        at=event.at * SECOND,
        message=event.message,
        task=event.task,
        name=event.name,
        failure=_failure_of(event.exception, tables),
        site=tables.site(event.site),
    )


def never_awaited_of(event: frames.Event, tables: Tables) -> NeverAwaited:
    """Which coroutine was dropped, and where."""
    return NeverAwaited(
        at=event.at * SECOND,
        coro=event.coro,
        defined=tables.site(event.site),
        stack=tables.stack(event.stack),
        blame=event.blame,
        made_here=event.text == "made here",
    )


def notice_of(event: frames.Event) -> Notice:
    """What the probe has to say."""
    return Notice(event.at * SECOND, event.text, event.kind, event.duration * SECOND)


def canceller_of(told: frames.CancelledBy | None, tables: Tables) -> CancelledBy | None:
    """Who cancelled a task."""
    if told is None:
        return None
    through = (told.through, told.through_name) if told.through else (None, None)
    return CancelledBy(told.how, told.task or None, told.name or None, tables.site(told.site), told.asked, *through)


def _failure_of(facts: frames.ExceptionFacts | None, tables: Tables) -> Failure | None:
    if facts is None:
        return None
    kept = None
    if facts.locals is not None and len(facts.locals) == len(facts.traceback):
        kept = tuple(None if names is None else tuple(names) for names in facts.locals)
    return Failure(facts.type, facts.message, tables.stack(facts.traceback), kept)
