"""Callbacks that were already running when the hooks were installed, so that no hook sees their start or end.

Until a loop reaches a hook or answers the watchdog it is still in such a callback, unless its thread waits in the
selector. The start of the callback is unknown, so its duration is a lower bound.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import process, sites
from ..base.task_facts import coro_name, coro_of, is_done, task_name
from ..hooks import accounting, install, reading
from ..hooks.reading import hold
from ..hooks.records import begin

if TYPE_CHECKING:
    from types import CodeType

    from ..hooks.records import LoopRecord, TaskRecord, UnseenCallback


def has_ended(
    unseen: UnseenCallback,
    record: LoopRecord,
    lines: list[tuple[CodeType, int]],
    stack: tuple[tuple[CodeType, int], ...],
    task: TaskRecord | None,
) -> bool:
    """Whether the loop has left the callback. `lines`, `stack` and `task` are those of its thread now."""
    if unseen.ended or record.started or record.busy or record.answered > unseen.since:
        return True
    return _rests(record, lines, stack) or (not record.clocked and _is_another(unseen, stack, task))


def _is_another(unseen: UnseenCallback, stack: tuple[tuple[CodeType, int], ...], task: TaskRecord | None) -> bool:
    """Whether a loop whose callbacks pass no hook has gone on to another callback, which has this stack."""
    if not unseen.samples:
        return False
    before = unseen.samples[-1][0]
    return task is not unseen.task or not stack or not before or stack[0][0] is not before[0][0]


def identify(unseen: UnseenCallback, task: TaskRecord | None, stack: tuple[tuple[CodeType, int], ...]) -> None:
    """Notes the task and the names of the callback while it runs."""
    unseen.task = task
    names = reading.read(task, _names_of) if task is not None else None
    unseen.name, unseen.what = names or ("", f"{stack[0][0].co_qualname}()" if stack else "a callback")


def _names_of(task: Any) -> tuple[str, str]:
    return task_name(task), coro_name(task)


def end_of(unseen: UnseenCallback, record: LoopRecord) -> float:
    """The latest moment at which the callback certainly still ran (`time.monotonic`)."""
    now = monotonic()
    end = unseen.ended or (record.answered if record.answered > unseen.since else now)
    started = record.started
    others = record.busy + (now - started if started else 0.0)  # callbacks seen by the hooks since
    last: float = unseen.samples[-1][2]
    return max(end - others, last)


def starved(unseen: UnseenCallback, record: LoopRecord, duration: float) -> float:
    """How much of the callback was spent waiting for a CPU (s)."""
    return min(max(process.thread_schedule(record.thread_native)[1] - unseen.waited, 0.0), duration)


def count(unseen: UnseenCallback, duration: float, ended: float) -> None:
    """Accounts the watched part of the step, and the end of its task if it was the last step."""
    record = unseen.task
    if record is None or record.outcome:
        return
    begin(record)
    record.steps += 1
    record.busy += duration
    record.max_step = max(record.max_step, duration)
    if reading.read(record, _finish, record, ended):
        return
    if not record.dirty:
        accounting.add_changed(record)


def _finish(task: Any, record: TaskRecord, ended: float) -> bool:
    if not is_done(task):
        return False
    accounting.finish(record, task, ended)
    return True


def _rests(record: LoopRecord, lines: list[tuple[CodeType, int]], stack: tuple[Any, ...]) -> bool:
    """Whether the thread of a loop waits for events. `lines` are all of its stack, innermost first, `stack` the part
    above the loop."""
    if not lines or not record.clocked:
        return not stack
    code, caller = lines[0][0], lines[1][0] if len(lines) > 1 else None
    if code.co_name != "select" or not sites.is_stdlib(code.co_filename) or caller is None:
        return False
    return caller is sites.LOOP or caller.co_name == "_run_once"


def find_thread(loop: Any) -> tuple[int, int]:
    """The thread that runs a task of a loop, and how many frames lie below it; (0, 0): no task runs.

    A loop that leaves no frame of its own is recognized by the frame of the coroutine that it runs.
    """
    found: tuple[int, int] = reading.read_any(_find_thread, loop)
    return found


def _find_thread(loop: Any) -> tuple[int, int]:
    task = hold(install.current_task_of(loop))
    try:
        own = hold(getattr(hold(coro_of(task)), "cr_frame", None)) if task is not None else None
    except Exception:  # raised by a task class of the program
        return 0, 0
    for thread, top in reading.frames_of_others().items() if own is not None else ():
        frame: Any = top
        while own is not None and frame is not None:
            if frame is own:
                depth = 0
                while (frame := hold(frame.f_back)) is not None:
                    depth += 1
                return thread, depth
            frame = hold(frame.f_back)
    return 0, 0
