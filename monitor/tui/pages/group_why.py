"""The pages of why the tasks of a group were late, and of what all tasks waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.tui.base.paint import BLANK, Line, line
from monitor.tui.pages.stacks import heading
from monitor.tui.pages.why import recorded_lines, refusal, wrapped

if TYPE_CHECKING:
    from monitor.store.store import Store
    from monitor.trace.collect import Trace
    from monitor.trace.explain import Reason
    from monitor.trace.wait_profile import GroupWaits, Waits

MOST_WAITS = 15


def group_why_page(
    store: Store, title: str, reasons: list[Reason], waits: GroupWaits | None, trace: Trace | None, cells: int
) -> list[Line]:
    """Build the page of a group: its slowest tasks summed up, what all of its tasks waited for, the slowest ones."""
    out = [line((f"Why was {title} late?", "strong")), BLANK]
    refused = refusal(store)
    if refused:
        return [*out, *refused]
    if reasons:
        from monitor.trace.explain import duration, group_text

        first, *texts = group_text(title, reasons)
        out.append(heading(first.partition(": ")[2][:1].upper() + first.partition(": ")[2][1:], cells))
        out += [line((part, "text")) for text in texts for part in wrapped(text, cells)]
        out.append(BLANK)
    elif trace is not None and not trace.is_whole:
        out += [
            line(("No step of its tasks has been read yet; what the program remembers is being read.", "dim")),
            BLANK,
        ]
    else:
        out += [line(("None of its tasks has run since recording of steps began, and none is alive.", "dim")), BLANK]
    if waits is not None:
        out += [*waits_lines(waits, cells), BLANK]
    if reasons:
        most = "The oldest" if reasons[0].life.ended is None else "The slowest"
        out.append(heading(most, cells, "Enter opens a task; w there explains it"))
        for reason in reasons:
            outcome = reason.life.outcome or "still alive"
            ended = (f"  {outcome}", "bad" if outcome == "failed" else "dim")
            text = (f"  {duration(reason.age):>9}  ", "strong")
            out.append(line(text, (reason.life.title, "text"), ended, target=("task", reason.life.id)))
    return out + recorded_lines(trace)


def waits_page(
    store: Store, waits: GroupWaits | None, groups: list[GroupWaits], trace: Trace | None, cells: int
) -> list[Line]:
    """Build the page of what all tasks waited for, and which groups waited longest."""
    out = [line(("What do the tasks wait for?", "strong")), BLANK]
    refused = refusal(store)
    if refused:
        return [*out, *refused]
    if waits is None:
        return [*out, line(("What the program remembers is being read.", "dim"))]
    out += waits_lines(waits, cells)
    out += [BLANK, heading("By group", cells)]
    for group in groups[:MOST_WAITS]:
        most = group.ordered()[0]
        out.append(
            line(
                (f"  {fmt.duration(group.duration / 1e9):>7}  ", "strong"),
                (group.label or group.coro, "text"),
                (f"  most for {_what(most)}", "dim"),
            )
        )
    return out + recorded_lines(trace)


def waits_lines(waits: GroupWaits, cells: int) -> list[Line]:
    """A section with a line for each thing that was waited for."""
    total = waits.duration
    out = [heading("Waited for", cells, f"{fmt.duration(total / 1e9)} together, {fmt.several(waits.tasks, 'task')}")]
    ordered = waits.ordered()
    out += [
        line(
            (f"  {fmt.duration(one.duration / 1e9):>7}", "strong"),
            (f" {fmt.percent(one.duration / total if total else 0.0):>5}", "text"),
            (f" {fmt.count(one.count):>6}×  ", "dim"),
            (_what(one), "text"),
            ("" if one.longest == one.duration else f"  longest {fmt.duration(one.longest / 1e9)}", "dim"),
        )
        for one in ordered[:MOST_WAITS]
    ]
    rest = ordered[MOST_WAITS:]
    if rest:
        took = sum(one.duration for one in rest) / 1e9
        out.append(line((f"  {fmt.duration(took):>7}  for {fmt.several(len(rest), 'other')}", "dim")))
    return out


def _what(one: Waits) -> str:
    from monitor.trace.explain import line as place

    text = f"{one.kind} {one.name}".rstrip()
    return text if one.at is None else f"{text} at {place(one.at)} {one.at.function}"
