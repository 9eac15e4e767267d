"""Rules for programs that stand still: objects at which no waiting task moves, and failures that nobody has noticed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.findings.model import Line, Observation
from monitor.findings.rules.shared import TASKS, fresh, more, more_wait
from monitor.store.task_names import title, title_in

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from monitor.findings.thresholds import Thresholds
    from monitor.store.store import Store
    from monitor.store.sync_scan import Holder, Stuck


_WAITED = {"event": "Event", "condition": "Condition", "future": "Future"}


def stuck(store: Store, thresholds: Thresholds) -> Iterator[Observation]:
    """Yields objects at which nothing moves, and that nobody alive is seen to move."""
    scan = fresh(store)
    if scan is None:
        return
    least = thresholds.of("waiters_stuck", "waiters")
    for one in scan.stuck:
        others = [holder for holder in one.holders if not _waits_here(one, holder)]
        if one.orphaned and one.kind != "subprocess" and not any(holder.entered for holder in others):
            what = "futures" if one.kind == "future" and one.waiting > 1 else one.label
            text = (
                f"{_tasks(one)} for {what}, and nothing that is alive refers to {'them' if what != one.label else 'it'}"
            )
            yield _observation(store, "never_wakes", one, text, others)
        elif one.kind in _WAITED:
            if one.waiting >= least and not any(holder.moves for holder in others):
                text = f"{_tasks(one)} for {one.label}"
                yield _observation(store, "waiters_stuck", one, text, others)
        elif one.kind == "queue":
            yield from _queue(store, one, others)
        elif one.kind == "subprocess":
            if one.size:
                text = f"{_tasks(one)} for the end of pid {one.pid}, whose output nobody reads: {fmt.size(one.size)}"
                yield _observation(store, "subprocess_stuck", one, text, [])
            elif one.doing and not any(holder.moves for holder in others):
                state = "is stopped" if one.doing == "stopped" else "sleeps"
                text = f"{_tasks(one)} for the end of pid {one.pid}, which {state} and does nothing"
                idle = _observation(store, "subprocess_idle", one, text, others)
                yield replace(idle, since=store.sync_scan.at - one.idle)
        else:
            yield from _lock(store, one, others)


def _queue(store: Store, one: Stuck, others: list[Holder]) -> Iterator[Observation]:
    if any(holder.moves for holder in others):
        return  # a slow consumer, or a producer with nothing to do
    if one.op == "put" and one.most and one.size >= one.most:
        text = f"{_tasks(one)} to put into {one.label}, which is full ({one.size} of {one.most}), and nobody gets"
    elif one.op == "get" and not one.size and (one.ended or one.feeds_itself):
        text = f"{_tasks(one)} to get from {one.label}, which is empty, and nobody puts"
        if one.feeds_itself:
            text += "; those who took from it and ended did not put back"
    else:
        return
    yield _observation(store, "queue_stuck", one, text, others)


def _lock(store: Store, one: Stuck, others: list[Holder]) -> Iterator[Observation]:
    holding = [holder for holder in others if holder.entered] or [holder for holder in others if holder.moves]
    if any(holder.waits.startswith(("lock ", "sleep ")) and "forever" not in holder.waits for holder in holding):
        return
    if one.kind == "semaphore" and one.size:
        return
    if not holding:
        text = f"{_tasks(one)} for {one.label}; no task is left that would release it"
        yield _observation(store, "lock_stuck", one, text, others)
        return
    if any(not holder.waits for holder in holding):
        return  # it runs, or is ready
    first = holding[0]
    name = title_in(store, first.task)
    was = ", which was cancelled and cleans up" if first.cancelling else ""
    more = f" and {len(holding) - 1} more" if len(holding) > 1 else ""
    text = f"{_tasks(one)} for {one.label}, held by {name}{more}{was}; it waits for {first.waits}"
    # A holder that makes a step is not stuck: the subject changes with the number of steps.
    steps = tuple(known.steps for holder in holding if (known := store.tasks.get(holder.task)) is not None)
    yield _observation(store, "lock_stuck", one, text, holding, (one.number, steps))


def _waits_here(one: Stuck, holder: Holder) -> bool:
    return any(task == holder.task for task, _ in one.waiters)


def _tasks(one: Stuck) -> str:
    return f"{one.waiting} tasks wait" if one.waiting > 1 else "a task waits"


def _observation(
    store: Store, kind: str, one: Stuck, text: str, holders: list[Holder], subject: Hashable = None
) -> Observation:
    """An observation with, in this order: the failures that refer to the object, those who have it, those who wait."""
    lines = [Line(f"failed here: {end.text}", end.site, None, end.name, end.coro) for end in one.ended[:TASKS]]
    for holder in holders[:TASKS]:
        how = "holds it" if holder.entered else "refers to it"
        if holder.cancelling:
            how += ", was cancelled"
        if holder.waits:
            how += f", waits for {holder.waits}"
        lines.append(Line(how, holder.site, holder.task))
    lines += more(len(holders), "refer to it")
    lines += [Line("waits", site, task) for task, site in one.waiters[:TASKS]]
    lines += more_wait(one.waiting)
    if one.ended:
        text += f"; {title(None, one.ended[0].name, one.ended[0].coro)} failed: {one.ended[0].text}"
    cause = next((line for line in lines if line.text != "waits"), None)
    first = one.waiters[0] if one.waiters else (None, None)
    return Observation(
        kind,
        one.number if subject is None else subject,
        text,
        task=first[0],
        site=cause.site if cause is not None and (one.ended or (holders and holders[0].entered)) else first[1],
        lines=tuple(lines),
        evidence={
            "object": one.label,
            "waiters": one.waiting,
            "still": round(one.still, 1),
            "size": one.size if one.kind in ("queue", "subprocess") else None,
            "pid": one.pid or None,
        },
        since=store.sync_scan.at - one.still if subject is None else None,
    )


def failures(store: Store, thresholds: Thresholds) -> Iterator[Observation]:  # noqa: ARG001 - as all rules
    """Yields failed tasks that something refers to and nobody has asked."""
    scan = fresh(store)
    if scan is None:
        return
    for one in scan.failed:
        failure = one.failure
        yield Observation(
            "failed_unnoticed",
            one.number,
            f"{title(one.task, failure.name, failure.coro)} failed: {failure.text}",
            task=one.task or None,
            name=failure.name,
            coro=failure.coro,
            site=failure.site,
            evidence={"exception": failure.exception, "message": failure.message, "coro": failure.coro},
        )
