"""The page of why a task was late: the report of `looptop why`, and what limits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.tui.base.paint import BLANK, Line, line

if TYPE_CHECKING:
    from monitor.store.store import Store
    from monitor.trace.collect import Trace
    from monitor.trace.explain import Reason


def why_page(store: Store, title: str, reason: Reason | None, trace: Trace | None, cells: int) -> list[Line]:
    """Builds the page; a task of which no step is recorded yet gets a sentence instead."""
    session = store.session
    out = [line((f"Why was {title} late?", "strong")), BLANK]
    if session is not None and "steps" not in session.capabilities:
        out.append(line((f"Steps are not recorded in this program: its hooks are {session.hooks}.", "warn")))
        return out
    if reason is None:
        out.append(line(("No step of this task is recorded: it has not run since recording began.", "dim")))
    else:
        from monitor.trace.explain import BAR, bar, text_of

        *texts, _ = text_of(reason)
        for text in texts:
            out += [line((part, "text")) for part in _wrapped(text, cells)]
        out += [BLANK, line((f"  {bar(reason, max(min(cells - 4, 2 * BAR), 10))}", "text"))]
        out.append(line(("  R ran   q queued   . waited   ? unknown", "dim")))
    if trace is not None:
        timeline = trace.timeline
        seconds = max(timeline.end - timeline.begin, 0) / 1e9
        text = f"Recorded: the last {seconds:.0f} s."
        if timeline.overwritten or timeline.left_out:
            text += f" {timeline.overwritten + timeline.left_out:,} events were lost."
        out += [BLANK, line((text, "dim"))]
    return out


def _wrapped(text: str, cells: int) -> list[str]:
    """Wraps a long line between words; further lines are indented."""
    out = []
    while len(text) > cells > 40:
        cut = text.rfind(" ", 20, cells)
        if cut < 0:
            break
        out.append(text[:cut])
        text = " " * 6 + text[cut + 1 :]
    return [*out, text]
