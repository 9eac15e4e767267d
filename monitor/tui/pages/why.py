"""The page of why a task was late: the report of `looptop why`, and what limits it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from monitor.tui.base.paint import BLANK, Line, line

if TYPE_CHECKING:
    from monitor.store.store import Store
    from monitor.trace.collect import Trace
    from monitor.trace.explain import Reason

_DETAILS = 21
"""Where the details of a part begin, after its kind and its sum."""
_DETAIL = re.compile(rf"  .{{{_DETAILS - 4}}}  \S")


def why_page(
    store: Store, number: int, title: str, reason: Reason | None, trace: Trace | None, cells: int
) -> list[Line]:
    """Builds the page; a task of which no step is recorded yet gets a sentence instead."""
    out = [line((f"Why was {title} late?", "strong")), BLANK]
    refused = refusal(store)
    if refused:
        return [*out, *refused]
    if reason is None:
        out.append(line((f"No step of this task is recorded{_why_none(store, number, trace)}.", "dim")))
    else:
        from monitor.trace.explain import BAR, bar, text_of

        *texts, _ = text_of(reason)
        for text in texts:
            out += [line((part, "text")) for part in wrapped(text, cells)]
        out += [BLANK, line((f"  {bar(reason, max(min(cells - 4, 2 * BAR), 10))}", "text"))]
        out.append(line(("  R ran   q queued   . waited   ? unknown", "dim")))
    return out + recorded_lines(trace)


def _why_none(store: Store, number: int, trace: Trace | None) -> str:
    task = store.tasks.get(number)
    if task is not None and task.state_name == "running":
        first = task.steps == 0 and task.counted is None
        return f" yet: its {'first' if first else 'current'} step is still running"
    if trace is None or not trace.is_whole:
        return " yet: what the program remembers is still being read"
    return ": it has not run since recording began"


def refusal(store: Store) -> list[Line]:
    """Say why there are no steps of this program; empty where they are recorded."""
    session = store.session
    if session is None or "steps" in session.capabilities:
        return []
    if session.hooks == "C":
        return [line(("Steps are not recorded in this program: its setting `trace` is 0.", "warn"))]
    return [
        line((f"Steps are not recorded in this program: its hooks are {session.hooks}.", "warn")),
        line(("Only the hooks in C record them.", "dim")),
    ]


def recorded_lines(trace: Trace | None) -> list[Line]:
    """Say how much is recorded, and how much was lost."""
    if trace is None:
        return []
    timeline = trace.timeline
    end = timeline.end
    if timeline.begin and not timeline.left_out:  # else nothing is recorded, or nothing after the limit was reached
        end = max(end, trace.store.now_us * 1000)  # the last event may be old, or still be on its way
    seconds = max(end - timeline.begin, 0) / 1e9
    text = f"Recorded: the last {seconds:.0f} s."
    if timeline.overwritten or timeline.left_out:
        text += f" {timeline.overwritten + timeline.left_out:,} events were lost."
    return [BLANK, line((text, "dim"))]


def wrapped(text: str, cells: int) -> list[str]:
    """Wraps a long line between words; further lines are indented, below the details of a part beyond its figures."""
    out = []
    indent = _DETAILS + 2 if cells > 2 * _DETAILS and _DETAIL.match(text) else 6
    while len(text) > cells > 40:
        cut = text.rfind(" ", max(20, indent + 1), cells)
        if cut < 0:
            break
        out.append(text[:cut])
        text = " " * indent + text[cut + 1 :]
    return [*out, text]
