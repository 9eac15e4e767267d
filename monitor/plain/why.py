"""`looptop why` and `looptop trace`: collects the step ring of a program for a while and explains it."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from monitor import early_end
from monitor import formatting as fmt
from monitor.errors import ConnectError, UsageError
from monitor.protocol import frames
from monitor.trace.choose import explain_slowest, oldest_live
from monitor.trace.collect import Trace, of_recording
from monitor.trace.explain import explain, group_object, group_text, in_group, reason_object, text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.trace.explain import Reason
    from monitor.transport.connection import Connection

RATE = 10
SLOW = 20_000
"""µs: while a trace is taken, stacks are captured of callbacks that run this long."""
PATIENCE = 30.0
WAITS_READ, WAITS_TRACED = 600, 20_000
"""Waits a second whose lines a probe reads, without a viewer that traces and with one (probes/hooks/native/trace.c)."""
IN_SIGHT = 200
"""Live tasks of which it is read at a time what they wait on."""
LOOK_AGAIN = 0.4
"""Seconds after which it is read of other ones."""


@dataclass(slots=True)
class WhyOptions:
    """Which tasks to explain."""

    task: int | None = None
    group: str = ""
    slowest: int = 5
    past: bool = False


@dataclass(slots=True)
class Why:
    """Why tasks were late, and the limits of what is known."""

    reasons: list[Reason]
    group: str = ""
    """The group that was asked for: then its tasks are summed up as well."""
    notes: list[str] = field(default_factory=list)


def check(connection: Connection) -> None:
    """Raise UsageError if the program's steps are not recorded."""
    if "steps" not in connection.hello.capabilities:
        hooks = connection.hello.hooks
        why = "its setting `trace` is 0" if hooks == "C" else f"its hooks are {hooks}"
        raise UsageError(f"steps of {connection.where} are not recorded", f"{why}; they need the hooks in C")


def all_in_sight(trace: Trace) -> list[int]:
    """The next live tasks of which it is to be read what they wait on, if all are asked for."""
    return trace.to_read(IN_SIGHT)


def asked_in_sight(options: WhyOptions) -> Callable[[Trace], list[int]]:
    """Those of which it is to be read if these tasks are to be explained."""

    def chosen(trace: Trace) -> list[int]:
        if options.task is not None:
            return [options.task]
        trace.name_live_tasks()
        belongs = partial(in_group, group=options.group) if options.group else None
        return [life.id for life in oldest_live(trace, belongs)[:IN_SIGHT]]

    return chosen


def collect(
    connection: Connection,
    duration: float,
    past: bool = False,
    in_sight: Callable[[Trace], list[int]] = all_in_sight,
) -> Trace:
    """Trace a program for a while and close the connection; `past` includes what its ring still holds.

    What live tasks wait on is read as well, of those that `in_sight` names, which is asked now and then. Ctrl-C ends it
    early.
    """
    check(connection)
    trace = Trace()
    trace.take(connection.hello)
    with closing(connection), early_end.possible():
        connection.send(
            {
                "type": "watch",
                "rate": RATE,
                "slow": SLOW,
                "events": True,
                "steps": "past" if past else "now",
                "first": {"sort": "age", "limit": 200},
            }
        )
        last_frame = began = looked = time.monotonic()
        begun: float | None = None
        asked = False
        while True:
            now = time.monotonic()
            if early_end.asked() and begun is not None:
                duration = min(duration, now - begun)
            # Two more ticks: the last steps come with the next one, and their events with the one after.
            whole = not past or trace.is_whole or now - began > PATIENCE
            if begun is not None and now - begun >= duration + 2.5 / RATE and whole:
                break
            last = begun is not None and not asked and now - begun >= duration - 1.5 / RATE
            if last or (begun is not None and not asked and now - looked >= LOOK_AGAIN):
                looked, asked = now, last
                window = in_sight(trace)
                if window != trace.window:
                    connection.send({"type": "watch", "window": window})
                    trace.window = window
            came = connection.receive(0.1)
            if came:
                last_frame = now
            elif now - last_frame > PATIENCE:
                raise ConnectError(
                    f"{connection.where} sends nothing", "one call of the program holds it up: try again"
                )
            for frame in came:
                trace.take(frame)
                if begun is None and isinstance(frame, frames.Tick):
                    begun = time.monotonic()
            if begun is None and now - began > PATIENCE:
                raise ConnectError(f"{connection.where} did not begin to trace", "try again")
    return trace


def collected(path: Path) -> Trace:
    """The trace in a recording that was made with `--steps`. Raises UsageError for another."""
    trace = of_recording(path)
    if not trace.pieces:
        raise UsageError(f"{path} has no steps", "record with --steps; a black box has them unless trace is 0")
    return trace


def why(trace: Trace, options: WhyOptions) -> Why:
    """Why the selected tasks were late. Raises UsageError for a task or a group that is not in the trace."""
    trace.complete()
    timeline = trace.timeline
    notes = notes_of(trace)
    if options.task is not None:
        life = timeline.lives.get(options.task & 0xFFFFFFFF)
        if life is None or not (life.steps or life.ended or options.task in trace.store.tasks):
            raise UsageError(f"task {options.task} did nothing meanwhile", "is it its id, and does it still live?")
        born = trace.born(options.task)
        return Why([explain(timeline, life, born, now=trace.waits_now(options.task))], notes=notes)
    belongs = partial(in_group, group=options.group) if options.group else None
    reasons = explain_slowest(trace, options.slowest, belongs, labelled=belongs is None)
    first = reasons[0].life if reasons else None
    if first is None and options.group:
        raise UsageError(f"no task of {options.group} ran meanwhile", "is it a coroutine, label or name?")
    if first is None:
        notes.append("no task ran meanwhile")
    elif first.ended is None:
        notes.append("no task began and ended meanwhile: these are live ones, the oldest first")
    elif first.label and belongs is None:
        notes.append("only tasks with a label, such as requests: --group COROUTINE for others")
    return Why(reasons, options.group, notes)


def notes_of(trace: Trace) -> list[str]:
    """Sentences on what is missing from a trace."""
    timeline = trace.timeline
    notes = []
    if timeline.overwritten:
        notes.append(f"{fmt.of_many(timeline.overwritten, 'event')} overwritten before being read")
    if timeline.left_out:
        notes.append(f"{fmt.of_many(timeline.left_out, 'event')} beyond the first {timeline_limit():,} left out")
    missing, long = timeline.waits_without_line()
    if missing:
        rates = f"at most {WAITS_READ} a second are read ({WAITS_TRACED:,} while a viewer traces), longer ones first"
        notes.append(f"{missing:,} of {long:,} waits of 1 ms and more have no line: {rates}")
    return notes


def timeline_limit() -> int:
    """The number of events that the timeline keeps."""
    from monitor.trace.timeline import MOST_EVENTS

    return MOST_EVENTS


def why_object(found: Why) -> dict[str, Any]:
    """The object that `looptop why --json` prints."""
    together = {"group": group_object(found.group, found.reasons)} if found.group and found.reasons else {}
    return {**together, "tasks": [reason_object(reason) for reason in found.reasons], "notes": found.notes}


def why_lines(found: Why, _width: int, _colour: bool) -> list[str]:
    """The lines that `looptop why` prints."""
    out = group_text(found.group, found.reasons) if found.group and len(found.reasons) > 1 else []
    for reason in found.reasons:
        if out:
            out.append("")
        out += text_of(reason)
    return out
