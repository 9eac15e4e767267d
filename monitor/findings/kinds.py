"""The kinds of findings, once: what each means, why it matters, its thresholds, how it is known, what shows the fix.

The rules, `--json`, the screen, the configuration file and docs/findings.md all take their words from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weight = Literal["bad", "warn"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """One number that decides. Kept in the configuration file under `[findings.KIND]`."""

    key: str
    default: float
    unit: str
    help: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding. `sample` shows it, `fix` does it right; both are names of samples, or empty."""

    key: str
    title: str
    weight: Weight  # bad: something is broken; warn: something will be
    why: str
    advice: str
    sample: str
    fix: str
    known: str  # how it is known
    unseen: str  # what is not seen
    thresholds: tuple[Threshold, ...]

    def default(self, key: str) -> float:
        """The default of one threshold."""
        return next(threshold.default for threshold in self.thresholds if threshold.key == key)


def _after(seconds: float) -> Threshold:
    return Threshold("after", seconds, "s", "how long it must last before it is told")


def _keep(seconds: float = 60.0) -> Threshold:
    return Threshold("keep", seconds, "s", "how long it is told after it last happened")


_AWHILE = Threshold("window", 5, "s", "how long it must grow, in every second of it")

KINDS: tuple[Kind, ...] = (
    Kind(
        "deadlock",
        "deadlock",
        "bad",
        "Each of these tasks waits for a lock that the next one holds; none of them will ever go on.",
        "Take the locks in the same order everywhere, or hold one lock for what belongs together.",
        "deadlock",
        "deadlock_ordered",
        "waits and lock holders of all tasks, read once a second; nobody in the cycle has made a step meanwhile",
        "a lock taken with `acquire()` instead of `async with` has no holder that could be read; semaphores",
        (_after(2),),
    ),
    Kind(
        "loop_blocked",
        "loop blocked by a line",
        "bad",
        "While this line runs, nothing else in the loop does: no other task, no timer, no answer to anybody.",
        "Move it to a thread (asyncio.to_thread) or a process, or use a library that awaits.",
        "blocking_call",
        "blocking_call_thread",
        "the watchdog's stacks, caught while it blocked; a loop that is blocked now is told before it ends",
        "callbacks below the slow threshold of the viewer, however many; what ends before it is caught has no line; "
        "time for which the loop was ready and got no processor (a crowded machine), or waited for the GIL, is not "
        "counted; on uvloop "
        "callbacks that are no steps of tasks",
        (
            Threshold("total", 0.5, "s", "how long one line must have blocked within the window"),
            Threshold("window", 30, "s", "the time that is looked at"),
            Threshold("now", 1.0, "s", "a loop that has been blocked for so long is told at once"),
        ),
    ),
    Kind(
        "gil_wait",
        "loop waits for the GIL",
        "bad",
        "Another thread has the interpreter lock: the loop is ready to go on and cannot, whichever line it is at. "
        "That line is innocent; moving it to a thread makes it worse.",
        "Move the work of the other thread to a process (ProcessPoolExecutor), give it less at a time, or use a "
        "library that releases the GIL while it computes.",
        "gil_hog",
        "cpu_bound_pool",
        "what the loop's thread sleeps in, asked of the kernel while a callback is slow, its CPU time, and that of the "
        "other threads; the line of the one that ran is read when it gives the GIL away",
        "waits between two callbacks, which are lag; short waits where /proc/self/task/TID/syscall cannot be read; "
        "C libraries other than glibc; sub-interpreters with their own GIL; a thread that sleeps while it "
        "has the GIL",
        (
            Threshold("total", 0.5, "s", "how long the GIL must have been held at one line within the window"),
            Threshold("window", 30, "s", "the time that is looked at"),
        ),
    ),
    Kind(
        "task_busy",
        "one task keeps the loop busy",
        "warn",
        "One task takes most of the loop's time; everything else in the loop waits for it.",
        "Give its work to a process pool, or let it do less at a time.",
        "huge_json",
        "huge_json_lines",
        "busy time of each task, in both halves of the time",
        "a crowd of tasks that keep the loop busy together",
        (Threshold("share", 0.5, "0..1", "share of the loop's time"), _after(5)),
    ),
    Kind(
        "busy_loop",
        "busy loop",
        "bad",
        "The task wakes itself again and again without waiting for anything: it burns a core to find nothing new.",
        "Wait for what it polls: a Queue.get, an Event, a Future.",
        "queue_polling",
        "queue_blocking",
        "steps, busy and scheduled time of each task, per second",
        "a poll with sleep(0.001): it does wait; loops that do not tell how long a task was scheduled",
        (
            Threshold("steps", 1000, "1/s", "steps a second, at least"),
            Threshold("idle", 0.02, "0..1", "share of the time that it may be idle, at most"),
            _after(3),
        ),
    ),
    Kind(
        "tasks_growing",
        "tasks growing at one site",
        "warn",
        "More tasks are made at this line than ever end; memory and the loop's work grow until something gives.",
        "Bound them: a TaskGroup, a semaphore, or a queue with a fixed number of workers.",
        "task_leak",
        "task_leak_bounded",
        "births and ends of each creation site",
        "growth that is slower than four tasks a second, or comes in bursts with pauses",
        (
            _AWHILE,
            Threshold("least", 20, "count", "how many more there must be at the end of the window"),
            Threshold("ended", 0.5, "0..1", "share of those born in the window that may have ended, at most"),
        ),
    ),
    Kind(
        "queue_growing",
        "queue growing",
        "warn",
        "More is put in than is taken out; what waits gets older and older, and memory grows.",
        "Give the queue a maxsize, so that who puts waits for who takes; or take faster.",
        "queue_growing",
        "queue_bounded",
        "the size of each asyncio.Queue that a task waits on, has in a local variable, in an attribute of an object "
        "there or in a global of its module; read once a second",
        "queues that are hidden deeper; collections.deque and lists; a queue that one function both gets from and puts "
        "into, as a crawl does: it grows for a while, and ends",
        (_AWHILE, Threshold("least", 50, "count", "how many more items there must be at the end of the window")),
    ),
    Kind(
        "executor_saturated",
        "executor saturated",
        "warn",
        "All workers of the pool are busy and more jobs wait than it has workers: whoever awaits one waits in line.",
        "Make the pool larger, the jobs shorter, or start fewer of them.",
        "executor_small",
        "executor_sized",
        "the work queues of all pools of concurrent.futures, read once a second",
        "pools of other libraries",
        (Threshold("queued", 1.0, "× workers", "jobs that wait, for each worker of the pool"), _after(3)),
    ),
    Kind(
        "lock_convoy",
        "lock convoy",
        "warn",
        "Many tasks queue for one lock; the program is as slow as whoever holds it, however many tasks there are.",
        "Hold the lock for the update only, not while waiting for something else.",
        "lock_convoy",
        "lock_convoy_brief",
        "waiters and holder of each lock that somebody waits for, read once a second",
        "who holds a lock that was taken with `acquire()`",
        (Threshold("waiters", 4, "count", "tasks that wait for one lock, at least"), _after(3)),
    ),
    Kind(
        "never_retrieved",
        "exception never retrieved",
        "bad",
        "The task failed and nobody awaited it: what it should have done was not done, and nothing noticed.",
        "Await the task, or keep it in a TaskGroup.",
        "never_retrieved",
        "never_retrieved_awaited",
        "what the loop's exception handler is called with",
        "a failed task that somebody still holds: asyncio tells when the last reference goes",
        (_keep(),),
    ),
    Kind(
        "never_awaited",
        "coroutine never awaited",
        "bad",
        "The coroutine was made and dropped: its body has never run.",
        "Await it, or make a task of it and keep the task.",
        "never_awaited",
        "never_awaited_awaited",
        "the warning that Python makes of it, whether it is shown or not",
        "a coroutine that somebody still holds; where it was made, when it was dropped on another line "
        "(then the line that dropped it and the line that defines it are told)",
        (_keep(),),
    ),
    Kind(
        "collected_pending",
        "task collected while pending",
        "bad",
        "Nobody kept the task, so the garbage collector took it in the middle of its work.",
        "Keep a reference until it is done: a set with a done-callback, or a TaskGroup.",
        "collected_pending",
        "collected_kept",
        "what the loop's exception handler is called with",
        "tasks that are still to be collected",
        (_keep(),),
    ),
    Kind(
        "cancel_swallowed",
        "cancellation swallowed",
        "bad",
        "The task was cancelled and went on as if nothing had happened: whoever cancelled it may wait forever.",
        "Clean up, and raise the CancelledError again.",
        "swallowed_cancel",
        "swallowed_cancel_raised",
        "`task.cancelling()` of all tasks, read once a second; a task that is still inside its `except` or `finally` "
        "cleans up and is not told",
        "a task that calls `uncancel()`: it says that it goes on; one that ends soon after",
        (_after(1.5),),
    ),
    Kind(
        "cancelled_by",
        "cancelled by another task",
        "warn",
        "Work is thrown away: a task was taken along by the cancellation of one that it awaited, or nearly all that is "
        "made at one line is cancelled from another.",
        "Catch the CancelledError of a task that others may cancel, or shield it; start less of what is thrown away.",
        "cancelled_along",
        "cancelled_along_caught",
        "the stack at the moment when a cancellation wakes a task: who called `cancel`, and at which line",
        "cancellations by a timeout, a TaskGroup, asyncio.run at its end or Ctrl-C: they are told with the task that "
        "ended; who cancels a task that waits for nothing at that moment (it has not begun, or is ready); a task that "
        "`gather` took along; a package that cancels what it made itself, such as a server its idle timers",
        (
            Threshold("window", 10, "s", "the time that is looked at"),
            Threshold("least", 50, "count", "how many one line must have cancelled in the window"),
            Threshold("share", 0.8, "0..1", "share of those that one line makes which must be cancelled"),
            Threshold("after", 1.5, "s", "how long the program must go on after a task was taken along"),
            _keep(),
        ),
    ),
    Kind(
        "semaphore_overreleased",
        "semaphore released too often",
        "bad",
        "It lets more in than it was made for: the limit that it stands for does not hold any more.",
        "Use `async with`, which releases exactly once; a BoundedSemaphore says so at once.",
        "semaphore_released_too_often",
        "semaphore_bounded",
        "a BoundedSemaphore: the ValueError that it raises, when a task fails of it; another: its value, growing "
        "by more than all tasks that there were when it was first seen could give back",
        "a plain semaphore that is released too often a few times and not again, or seldom where there are many tasks",
        (Threshold("window", 5, "s", "how long the value of a plain semaphore must grow"), _keep()),
    ),
    Kind(
        "timers_piling_up",
        "timers piling up",
        "warn",
        "More call_later and call_at are set than ever run; each keeps its callback and arguments alive.",
        "Cancel timers that are not needed any more, or use one timer for all.",
        "timers_piling_up",
        "timers_cancelled",
        "the timers of each loop beyond those of sleeping tasks",
        "loops that keep their timers in C (uvloop)",
        (_AWHILE, Threshold("least", 200, "count", "how many more there must be at the end of the window")),
    ),
    Kind(
        "memory_growing",
        "memory growing",
        "warn",
        "The process takes more and more memory, without a pause.",
        "Trace it (looptop memory) to see which line keeps what it makes.",
        "list_grows",
        "list_bounded",
        "resident memory; what tracemalloc traces, while tracing is on",
        "which line, unless tracing is on and somebody looks at it; growth that is slower, or has pauses",
        (
            Threshold("window", 15, "s", "how long it must grow, in every quarter of it"),
            Threshold("least", 24, "MiB", "how much resident memory must have grown in the window"),
            Threshold("traced", 8, "MiB", "how much traced memory must have grown in the window"),
        ),
    ),
)
"""The worst first: the order in which findings are listed."""

BY_KEY = {kind.key: kind for kind in KINDS}

HOLD = Threshold("hold", 5, "s", "how long a finding stays after its cause was last seen, so that none flickers")
