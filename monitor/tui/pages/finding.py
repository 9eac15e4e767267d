"""The page of one finding: the problem and where it is, why it matters, how to fix it, and the figures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.findings.columns import GLYPHS
from monitor.store.labels import line_text, site_text
from monitor.store.store import Store
from monitor.store.task_names import title
from monitor.tui.base.paint import BLANK, Line, Part, line
from monitor.tui.pages.stacks import changed_note, heading, stack
from monitor.tui.widgets.source_view import Sources

if TYPE_CHECKING:
    from collections.abc import Container, Hashable

    from monitor.findings.kinds import Kind
    from monitor.findings.model import Figure, Finding

LABEL = 14
STACKS = ("loop_blocked", "gil_wait", "never_retrieved")
"""Kinds whose lines form one stack, which may be long."""
_SECONDS = {"blocked", "worst", "starved", "gil", "busy", "waited", "window"}
_SHARES = {"share", "idle"}
_BYTES = {"rss", "traced"}
_TIMES = {"last"}


def finding_page(
    store: Store,
    finding: Finding,
    sources: Sources,
    cells: int,
    *,
    there: bool,
    unfolded: Container[Hashable] = (),
) -> list[Line]:
    """Builds the page. `there`: whether the finding still applies."""
    sign, kind = finding.observed, finding.kind
    lines = [
        line((f"{GLYPHS[kind.weight]} {kind.title}", kind.weight), ("  dismissed" if finding.dismissed else "", "dim")),
        *_wrapped("", sign.text, "strong", cells),
        line((_when(store, finding, there=there), "dim" if there else "good")),
    ]
    if sign.task is not None:
        alive = "" if sign.task in store.tasks else ", ended"
        who = title(sign.task, sign.name, sign.coro, sign.label)
        lines.append(line((f"{'task':<{LABEL}}", "dim"), (who, "strong"), (alive, "dim"), target=("task", sign.task)))
    places = (
        [heading("Lines", cells, _order(finding)), *_lines(store, finding, sources, cells, unfolded), BLANK]
        if sign.lines
        else []
    )
    long = sign.kind in STACKS
    if not long:
        lines += places
    if sign.site is not None:
        lines.append(heading(line_text(sign.site, store), cells, sign.site.function))
        lines += sources.around(sign.site.file, sign.site.line, 2, 2)
        lines += [*changed_note([sign.site], store, sources), BLANK]
    lines += [
        *_wrapped("why", kind.why, "text", cells),
        *_wrapped("fix", kind.advice, "text", cells),
        *_samples(kind),
        BLANK,
    ]
    if long:
        lines += places
    figures = {name: figure for name, figure in sign.evidence.items() if figure is not None}
    if figures:
        lines.append(heading("Figures", cells))
    lines += [
        line((f"{name.replace('_', ' '):<{LABEL}}", "dim"), (_figure(kind.key, name, figure), "text"))
        for name, figure in figures.items()
    ]
    return lines


def whole_finding(store: Store, finding: Finding, cells: int) -> list[Line]:
    """Returns the full text of a row of the table."""
    sign, kind = finding.observed, finding.kind
    lines = [heading(kind.title, cells - 1), *_wrapped("", sign.text, "text", cells - 2, cells - 2)]
    if sign.site is not None:
        lines.append(line((f"{line_text(sign.site, store)} {sign.site.function}", "accent")))
    return [Line(((" ", "text"), *one.parts)) for one in lines]


def _samples(kind: Kind) -> list[Line]:
    """Names the samples that show the problem and the fix."""
    if not kind.sample:
        return []
    wrong = f"looptop samples run {kind.sample}"
    if not kind.fix:
        return [line((f"{'sample':<{LABEL}}", "dim"), (wrong, "accent"))]
    right = line((f"{'sample':<{LABEL}}", "dim"), (f"looptop samples show {kind.fix}", "accent"))
    return [right, line((" " * LABEL, "dim"), (f"{wrong} shows the problem", "dim"))]


def _lines(store: Store, finding: Finding, sources: Sources, cells: int, unfolded: Container[Hashable]) -> list[Line]:
    """The lines concerned with their source, the stack first if there is one."""
    frames = [one.site for one in finding.observed.lines if one.is_frame and one.site is not None]
    lines = stack(frames, store, sources, cells, unfolded=unfolded)
    for one in finding.observed.lines:
        if one.is_frame:
            continue
        who = one.who
        parts: list[Part] = [(who, "strong"), ("  ", "text")] if who else []
        place = "" if one.site is None else site_text(one.site, store)
        parts += [(one.text, "text"), ("  " if one.text and place else "", "text"), (place, "dim")]
        lines.append(line(*parts, target=None if one.task is None else ("task", one.task)))
        source = None if one.site is None else sources.one(one.site.file, one.site.line)
        if source:
            lines.append(line((f"    {source}", "dim")))
    return lines


def _when(store: Store, finding: Finding, *, there: bool) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(finding.since))
    if not there:
        return f"it is over: from {clock} for {fmt.age(max(finding.seen - finding.since, 0.0))}"
    return f"seen since {clock}, for {fmt.age(max(store.now - finding.since, 0.0))}"


def _order(finding: Finding) -> str:
    if finding.observed.kind in STACKS:
        return "outermost first"
    return "Enter goes to the task" if any(one.task is not None for one in finding.observed.lines) else ""


def _figure(kind: str, name: str, figure: Figure) -> str:
    if isinstance(figure, str):
        return figure
    if isinstance(figure, bool):
        return "yes" if figure else "no"
    if name in _SECONDS:
        return fmt.duration(figure)
    if name in _SHARES:
        return fmt.percent(figure)
    if name in _BYTES or (kind == "memory_growing" and name == "more"):
        return fmt.size(figure)
    if name in _TIMES:
        return time.strftime("%H:%M:%S", time.localtime(figure))
    return fmt.count(figure)


def _wrapped(label: str, text: str, style: str, cells: int, most: int = 100) -> list[Line]:
    """A paragraph beside its label; without a label it takes the full width, up to `most`."""
    indent = LABEL if label else 0
    room = max(min(cells, most) - indent, 20)
    rows, row = [], ""
    for word in text.split():
        if row and len(row) + 1 + len(word) > room:
            rows.append(row)
            row = word
        else:
            row = f"{row} {word}" if row else word
    rows.append(row)
    return [line((f"{label if number == 0 else '':<{indent}}", "dim"), (row, style)) for number, row in enumerate(rows)]
