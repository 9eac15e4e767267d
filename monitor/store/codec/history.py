"""What a store has kept of the past, as the frames of a keyframe tell it: events and series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.protocol import frames, keyframes
from monitor.store.microseconds import us, us_or_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.store.model import CancelledBy, EndedTask, Failure, GilHolder, NeverAwaited, SlowCallback, Unhandled
    from monitor.store.store import Store
    from monitor.store.tables import TableEncoder


def kept(store: Store, numbers: TableEncoder) -> keyframes.History:
    """All of it, each kind of event in its order."""
    return keyframes.History(
        events=list(_events(store, numbers)),
        steps=list(store.steps.values),
        task_counts=list(store.task_counts.values),
        lags={loop.id: list(loop.lags.values) for loop in store.loops.values()},
        utilizations={loop.id: list(loop.utilizations.values) for loop in store.loops.values()},
    )


def _events(store: Store, numbers: TableEncoder) -> Iterator[frames.Event]:
    for task in store.ended:
        yield _task_ended(task, numbers)
    slow = {id(entry): entry for line in store.slow.lines.values() for entry in line.callbacks}
    slow.update({id(entry): entry for entry in store.slow.entries})
    for callback in sorted(slow.values(), key=lambda entry: entry.seq):
        yield _slow_callback(callback, numbers)
    for unhandled in store.unhandled:
        yield _unhandled(unhandled, numbers)
    for dropped in store.never_awaited:
        yield _never_awaited(dropped, numbers)
    for notice in store.notices:
        yield frames.Event(seq=0, at=us(notice.at), kind=notice.kind, text=notice.text, duration=us(notice.duration))


def _task_ended(task: EndedTask, numbers: TableEncoder) -> frames.Event:
    return frames.Event(
        seq=0,
        at=us(task.ended),
        kind="task_ended",
        loop=task.loop,
        task=task.id,
        name=task.name,
        coro=task.coro,
        outcome=task.outcome,
        exception=_exception(task.failure, numbers),
        cancelled_by=_canceller(task.cancelled_by, numbers),
        age=us_or_none(task.age),
        busy=us_or_none(task.busy),
        scheduled=us_or_none(task.scheduled),
        steps=task.steps,
        max_step=us_or_none(task.max_step),
        site=numbers.site(task.site),
        parent=task.parent,
    )


def _slow_callback(entry: SlowCallback, numbers: TableEncoder) -> frames.Event:
    return frames.Event(
        seq=entry.seq,
        at=us(entry.at),
        kind="slow_callback",
        loop=entry.loop,
        duration=us(entry.duration),
        starved=us(entry.starved),
        gil=us(entry.gil),
        held_by=None if entry.held_by is None else _holder(entry.held_by, numbers),
        at_least=entry.at_least,
        task=entry.task,
        name=entry.name,
        callback=entry.callback,
        stack=numbers.stack(entry.stack),
        blame=entry.blame,
        samples=entry.samples,
    )


def _holder(holder: GilHolder, numbers: TableEncoder) -> frames.GilHolder:
    return frames.GilHolder(holder.thread, holder.threads, numbers.stack(holder.stack), holder.blame)


def _unhandled(entry: Unhandled, numbers: TableEncoder) -> frames.Event:
    return frames.Event(
        seq=0,
        at=us(entry.at),
        kind="unhandled",
        site=numbers.site(entry.site),
        message=entry.message,
        task=entry.task,
        name=entry.name,
        exception=_exception(entry.failure, numbers),
    )


def _never_awaited(entry: NeverAwaited, numbers: TableEncoder) -> frames.Event:
    return frames.Event(
        seq=0,
        at=us(entry.at),
        kind="never_awaited",
        coro=entry.coro,
        site=numbers.site(entry.defined),
        stack=numbers.stack(entry.stack),
        blame=entry.blame,
        text="made here" if entry.made_here else "dropped here",
    )


def _exception(failure: Failure | None, numbers: TableEncoder) -> frames.ExceptionFacts | None:
    if failure is None:
        return None
    held = None
    if failure.locals is not None:
        held = [None if names is None else list(names) for names in failure.locals]
    return frames.ExceptionFacts(failure.type, failure.message, numbers.stack(failure.traceback), held)


def _canceller(known: CancelledBy | None, numbers: TableEncoder) -> frames.CancelledBy | None:
    if known is None:
        return None
    return frames.CancelledBy(
        how=known.how,
        task=known.task or 0,
        name=known.name or "",
        site=numbers.site(known.site),
        asked=known.asked,
        through=known.through or 0,
        through_name=known.through_name or "",
    )
