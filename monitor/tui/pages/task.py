"""The page of one task: state, facts, waits, await stack, histograms, relatives and origin."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.columns import GLYPHS
from monitor.store.labels import site_text, when
from monitor.store.model import Task, TaskDetail, Wait
from monitor.store.store import Store
from monitor.store.task_names import is_given, title_of
from monitor.tui.base.paint import BLANK, Line, Part, columns, line
from monitor.tui.base.theme import STATE_STYLES, delay_style, load_style
from monitor.tui.pages.stacks import changed_note, heading, innermost_own, stack
from monitor.tui.widgets.histogram import chart
from monitor.tui.widgets.source_view import Sources

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Sequence

WIDE = 110
MOST_LISTED = 50
LABEL = 14
RECORDED = "not recorded: no viewer had this task open"
WAIT_LINES = 3  # minimum, with title: the lines below must not jump when the task wakes up for a moment


@dataclass(frozen=True, slots=True)
class Subject:
    """A task and what is known about it at this moment."""

    task: Task
    alive: bool
    detail: TaskDetail | None
    gone: bool = False  # it has ended since the pause began
    late: float | None = None  # seconds from the start of the pause to when the detail was collected
    recorded: bool = False
    unfolded: Container[Hashable] = ()


def task_page(store: Store, subject: Subject, sources: Sources, cells: int, origins: int, slow: float) -> list[Line]:
    """Builds the page of a task."""
    task, detail = subject.task, subject.detail
    head = _title(store, subject)
    facts = _facts(store, subject, slow)
    charts_width = 44 if cells >= WIDE else cells // 2 - 2
    left = cells - charts_width - 3 if cells >= WIDE else cells
    longest = task.max_step or None
    steps = chart("Steps", detail.step_counts if detail else None, charts_width, longest)
    schedules = chart("Scheduled", detail.schedule_counts if detail else None, charts_width)
    waits = _waits(store, subject, left)
    waits += [BLANK] * (WAIT_LINES - len(waits))
    stacks = _await_stack(store, subject, sources, left)
    if cells >= WIDE:
        lines = [*head, *columns([*facts, BLANK, *waits, BLANK, *stacks], [*steps, BLANK, *schedules], left)]
    else:
        lines = [*head, *facts, BLANK, *waits, BLANK, *stacks, BLANK]
        lines += [heading("Times", cells), *columns(steps, schedules, cells // 2 - 1)]
    lines += [BLANK, *_origin(store, subject, sources, cells, origins)]
    lines += _relatives(store, "Awaited by", detail.awaited_by if detail else (), cells)
    title = "Awaits" if store.read_only else "Children"
    lines += _relatives(store, title, store.tasks.children(task.id), cells)
    return lines


def _title(store: Store, subject: Subject) -> list[Line]:
    task = subject.task
    if subject.alive:
        state, style = task.state_name, STATE_STYLES[task.state_name]
        outside = store.read_only  # it may have run between two readings
        quiet = store.now - task.since if task.since and not outside else 0.0
        since = f" for {'≥' if task.since_before else ''}{fmt.age(quiet)}" if quiet >= 1 else ""
        now = f"  {fmt.percent(task.share)} of the loop now" if task.share else ""
        return [
            line(
                (f"{GLYPHS[state]} {state}{since}", style),
                ("  ", "text"),
                (title_of(task), "strong"),
                (now, load_style(task.share)),
            )
        ]
    ended = next((entry for entry in reversed(store.ended) if entry.id == task.id), None)
    name: list[Part] = [("  ", "text"), (title_of(task), "strong")]
    if ended is None:
        return [line(("■ gone", "bad"), *name), line(("showing its last state", "dim"))]
    how: Part = (
        f"{GLYPHS.get(ended.outcome, '■')} {ended.outcome} {when(ended.ended, store)}",
        STATE_STYLES.get(ended.outcome, "bad"),
    )
    failure = f"{ended.failure.text}; " if ended.failure else ""
    below = line((failure, "bad"), ("Enter shows how it ended; below is its last state", "dim"))
    return [line(how, *name, target=("task", task.id)), below]


def _pair(label: str, text: str, style: str = "text", width: int = 22) -> tuple[Part, ...]:
    apart = "  " if width and len(text) >= width else ""
    return ((f"{label:<{LABEL}}", "dim"), (f"{text:<{width}}{apart}", style))


def _facts(store: Store, subject: Subject, slow: float) -> list[Line]:
    task = subject.task
    loop = store.loops.get(task.loop)
    age = task.age(store.now)
    bound = "" if task.counted is None else "≥"

    def part_of_life(seconds: float | None) -> str:
        if seconds is None:
            return fmt.UNKNOWN
        return f"{bound}{fmt.duration(seconds)}" + (f"  {fmt.percent(seconds / age)}" if age and not bound else "")

    outside = store.read_only
    counted = task.counted is None or task.steps > 0
    parent = store.tasks.get(task.parent)
    if outside:
        lineage = line(*_pair("parent", "not visible from outside", "dim", 0))
    elif task.parent == 0 and task.born_before_attach:
        lineage = line(*_pair("parent", "not known: the task is older than the probe", "dim", 0))
    elif task.parent == 0:
        lineage = line(*_pair("parent", "none: created outside any task", "dim", 0))
    else:
        chain = [title_of(parent) if parent is not None else f"#{task.parent}, ended"]
        seen = {task.id, task.parent}
        above = parent
        while above is not None and above.parent and above.parent not in seen and len(chain) < 6:
            seen.add(above.parent)
            number, above = above.parent, store.tasks.get(above.parent)
            chain.append(title_of(above) if above is not None else f"#{number}, ended")
        lineage = line(*_pair("parent", " ‹ ".join(chain), width=0), target=("task", task.parent))
    born, eager = (
        "older than the probe" if task.born_before_attach and not outside else "",
        "eager" if task.eager else "",
    )
    notes = ", ".join(filter(None, (born, eager)))
    given = f", named {task.name}" if task.name and not is_given(task.name) else ""  # by asyncio
    coroutine = f"{task.coro}{given}"
    where = f"{loop.id} {loop.kind} {loop.name}" if loop is not None else str(task.loop)
    return [
        line(*_pair("coroutine", coroutine), *_pair("loop", where, width=0), (f"  {notes}" if notes else "", "dim")),
        line(*_pair("created at", site_text(task.site, store), width=0)),
        lineage,
        line(*_pair("age", fmt.age(age)), *_pair("idle", part_of_life(task.idle(store.now)), width=0)),
        line(
            *_pair("busy", part_of_life(task.busy if counted or task.busy else None)),
            *_pair(
                "longest step",
                bound + fmt.duration(task.max_step) if counted or task.max_step else fmt.UNKNOWN,
                delay_style(task.max_step, slow),
                0,
            ),
        ),
        line(
            *_pair("scheduled", part_of_life(task.scheduled)),
            *_pair("steps", bound + fmt.count(task.steps) if counted else fmt.UNKNOWN, width=0),
        ),
    ]


def _task_line(store: Store, task_id: int, before: tuple[Part, ...] = (), depth: int = 0) -> Line:
    task = store.tasks.get(task_id)
    indent = "  " * depth
    if task is None:
        return line((indent, "text"), *before, (f"#{task_id}, ended or not sent", "dim"), target=("task", task_id))
    waits = f"  {task.wait_kind or ''} {task.wait_text or ''}" if task.wait_kind else ""
    return line(
        (indent, "text"),
        *before,
        (f"{GLYPHS[task.state_name]} {task.state_name:<10}", STATE_STYLES[task.state_name]),
        (title_of(task), "strong"),
        (f"  busy {fmt.duration(task.busy)}" if task.counted is None or task.steps else "", "dim"),
        (waits, "dim"),
        target=("task", task_id),
    )


def _waits(store: Store, subject: Subject, cells: int) -> list[Line]:
    note = "" if subject.late is None else f"as of {fmt.age(subject.late)} after the pause"
    title = heading("Waits on", cells, note)
    detail = subject.detail
    if detail is None:
        if subject.recorded:
            task = subject.task
            known = [line((f"{task.wait_kind} {task.wait_text or ''}", "text"))] if task.wait_kind else []
            return [title, *known, line((RECORDED, "dim"))]
        if subject.gone:
            return [title, line(("ended since the pause, before it could be inspected", "dim"))]
        return [title, line(("asking …" if subject.alive else "ended before it could be inspected", "dim"))]
    wait = detail.waiting_on
    if wait is None:
        state = "it is running or ready" if subject.alive else "it no longer waits"
        return [title, line((f"nothing: {state}", "text"))]
    return [title, *_wait_lines(store, wait)]


def _wait_lines(store: Store, wait: Wait) -> list[Line]:
    facts = dict(wait.facts)
    lines = []
    wakes_at = facts.pop("wakes_at", None)
    first: list[Part] = [(f"{wait.kind}", "accent")]
    if "op" in facts:
        first.append((f" {facts.pop('op')}", "accent"))
    if isinstance(wakes_at, float | int):
        left = float(wakes_at) - store.now
        if left >= 0:
            first.append((f"  wakes in {fmt.duration(left)}", "strong"))
        else:
            first.append((f"  was due {fmt.duration(-left)} ago", "warn"))
        first.append((f"  at {time.strftime('%H:%M:%S', time.localtime(float(wakes_at)))}", "dim"))
    first.append((f"  {wait.repr}", "text"))
    lines.append(line(*first))
    holder = facts.pop("holder", None)
    if isinstance(holder, int):
        lines.append(_task_line(store, holder, (("held by  ", "warn"),)))
    awaited = [facts.pop("task", None), *(_ids(facts.pop("tasks", None)))]
    lines += [_task_line(store, number, (("awaits   ", "dim"),)) for number in awaited if isinstance(number, int)][
        :MOST_LISTED
    ]
    waiters = facts.pop("waiters", None)
    if isinstance(waiters, int | list | tuple):
        number = waiters if isinstance(waiters, int) else len(waiters)
        facts = {"waiters": number, **facts}
    others = "  ".join(f"{key} {value}" for key, value in facts.items() if isinstance(value, str | int | float))
    if others:
        lines.append(line((others, "dim")))
    return lines


def _ids(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _await_stack(store: Store, subject: Subject, sources: Sources, cells: int) -> list[Line]:
    title = heading("Await stack", cells, "outermost first")
    detail = subject.detail
    if detail is None:
        return [title, line((RECORDED if subject.recorded else "no data yet", "dim"))]
    sites = detail.await_stack
    if not sites:
        return [title, line(("empty: it is running, or its frames are not readable", "dim"))]
    marked = innermost_own(sites, store)
    borders = sorted((depth, number) for number, depth in detail.await_tasks if number != subject.task.id)
    lines = [title, *changed_note(sites, store, sources)]
    if not borders:
        return lines + stack(sites, store, sources, cells, marked, unfolded=subject.unfolded)
    begin = 0
    for depth, number in [*borders, (len(sites), None)]:
        depth = min(max(depth, begin), len(sites))
        mine = None if marked is None or not begin <= marked < depth else marked - begin
        lines += stack(sites[begin:depth], store, sources, cells, mine, unfolded=subject.unfolded)
        if number is not None:
            lines.append(_task_line(store, number, (("in task  ", "accent"),)))
        begin = depth
    return lines


def _origin(store: Store, subject: Subject, sources: Sources, cells: int, origins: int) -> list[Line]:
    task, detail = subject.task, subject.detail
    title = heading("Origin", cells, "creation stack, innermost first")
    if detail is not None and detail.origin:
        return [title, *stack(detail.origin, store, sources, cells, 0, unfolded=subject.unfolded), BLANK]
    if task.site is None and store.read_only:
        return [title, line(("not visible from outside", "dim")), BLANK]
    if task.site is None:
        return [title, line(("not known: the task is older than the probe", "dim")), BLANK]
    lines = [title, *stack([task.site], store, sources, cells, 0)]
    why = (
        "new tasks keep their whole creation stack"
        if origins
        else "press o to keep the whole creation stack of new tasks"
    )
    return [*lines, line((why, "dim")), BLANK]


def _relatives(store: Store, title: str, ids: Sequence[int], cells: int) -> list[Line]:
    if not ids:
        return [heading(title, cells), line(("nobody" if title == "Awaited by" else "none alive", "dim")), BLANK]
    lines = [heading(f"{title} ({len(ids)})", cells)]
    lines += [_task_line(store, number) for number in ids[:MOST_LISTED]]
    if len(ids) > MOST_LISTED:
        lines.append(line((f"… and {len(ids) - MOST_LISTED} more: filter tasks by parent:ID", "dim")))
    return [*lines, BLANK]
