"""The kinds of findings: what each means, why it matters, its thresholds, how it is detected, and the samples.

The only declaration: the rules, `--json`, the screen, the configuration file and docs/findings.md all use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weight = Literal["bad", "warn"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number that a rule compares with; set in the configuration file under `[findings.KIND]`."""

    key: str
    default: float
    unit: str
    help: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding. `sample` shows it, `fix` avoids it; both name samples, or are empty."""

    key: str
    title: str
    weight: Weight  # bad: something is broken; warn: something will break
    why: str
    advice: str
    sample: str
    fix: str
    known: str  # how it is detected
    unseen: str  # what is not detected
    thresholds: tuple[Threshold, ...]

    def default(self, key: str) -> float:
        """The default of one threshold."""
        return next(threshold.default for threshold in self.thresholds if threshold.key == key)


def _after(seconds: float) -> Threshold:
    return Threshold("after", seconds, "s", "how long it must last before it is reported")


def _keep(seconds: float = 60.0) -> Threshold:
    return Threshold("keep", seconds, "s", "how long it stays reported after it last happened")


_AWHILE = Threshold("window", 5, "s", "how long it must grow, in every second")

KINDS: tuple[Kind, ...] = (
    Kind(
        "deadlock",
        "deadlock",
        "bad",
        "Each of these tasks waits for a lock that the next one holds; none of them can continue.",
        "Take the locks in the same order everywhere, or protect everything with one lock.",
        "deadlock",
        "deadlock_ordered",
        "waits and lock holders of all tasks, read once a second; no task in the cycle has made a step since",
        "locks taken with `acquire()` instead of `async with`: their holder cannot be read; semaphores",
        (_after(2),),
    ),
    Kind(
        "never_wakes",
        "task that can never wake",
        "bad",
        "What the task waits for is out of reach: no task that will run again, no timer, socket, thread or module "
        "refers to it. The task, and all that wait for it, stay forever.",
        "Keep what is to be completed where the code that completes it finds it, complete it also when that code fails "
        "or is replaced, and wait with a timeout.",
        "rpc_forgotten",
        "rpc_json",
        "the references of the garbage collector, counted from the tasks that have made no step for four seconds: what "
        "has a reference that is not accounted for is alive; twice in a row, in slices, at most 1 % of a core",
        "what a module, a live object, C code or a weak reference still refers to, whether used or not; a task that "
        "waits forever on purpose (the main task, or for an event that its code gives to nobody), inside a timeout, or "
        "in a variable of code that cancels; free-threaded builds",
        (_after(5),),
    ),
    Kind(
        "waiters_stuck",
        "tasks wait for one thing that does not come",
        "bad",
        "All these tasks wait for one event, condition or future, and no task is seen to move it: the one that should "
        "have may have failed.",
        "See who refers to it; set it, or pass the failure on, also when the initialiser fails.",
        "event_never_set",
        "event_set_in_any_case",
        "waits of all tasks, read once a second; the variables of the other tasks, and the frames that exceptions of "
        "failed tasks keep",
        "one or two tasks; one that a task refers to whose code sets, notifies or completes it; a failed task that "
        "nothing refers to any more is not named",
        (Threshold("waiters", 3, "count", "minimum number of tasks that wait for one object"), _after(30)),
    ),
    Kind(
        "queue_stuck",
        "queue that nobody serves",
        "bad",
        "All tasks at this queue wait on the same side, and no task is left on the other side.",
        "Keep the consumers (or producers) alive, supervise them, and let their failure end the others.",
        "consumer_died",
        "consumer_supervised",
        "waits and sizes of queues, read once a second; the variables of the other tasks, and the frames that the "
        "exceptions of failed tasks keep",
        "tasks that wait to get, unless a failed task that put is still referred to, or the code that waits also puts "
        "(a pool): workers may have nothing to do",
        (_after(30),),
    ),
    Kind(
        "subprocess_stuck",
        "subprocess output that nobody reads",
        "bad",
        "The subprocess waits to write into a full pipe, and the task waits for the subprocess to end.",
        "Read while it runs: process.communicate(), or a task that reads each pipe.",
        "subprocess_unread",
        "subprocess_streams",
        "tasks that wait for the end of a subprocess of asyncio, its streams, and the bytes in their pipes",
        "pipes that asyncio does not read, and subprocesses of uvloop: only what the stream has buffered is counted",
        (_after(5),),
    ),
    Kind(
        "subprocess_idle",
        "subprocess that does nothing",
        "warn",
        "A task waits for the subprocess to end, and it is stopped, or sleeps without any CPU time or output.",
        "Close or write its stdin if it waits for input, continue it (SIGCONT), or bound the wait with a timeout.",
        "subprocess_waits_for_input",
        "subprocess_streams",
        "tasks that wait for the end of a subprocess; state, CPU time and descriptors of it and its descendants",
        "one that has a socket, as servers have, unless it is stopped; one that a task may write to or end; pipes that "
        "are read while it runs",
        (_after(30),),
    ),
    Kind(
        "lock_stuck",
        "lock or semaphore that is not released",
        "bad",
        "Tasks wait for a lock or semaphore, and its holder does not move, or no task that could release it is left.",
        "Use `async with`, which releases in any case; bound what runs inside it, and in `finally`, with a timeout.",
        "lock_in_finally",
        "lock_in_finally_bounded",
        "waits of all tasks, read once a second; tasks inside `async with`, and those that have it in a variable",
        "a holder that waits for a lock itself (see deadlock) or sleeps",
        (_after(30),),
    ),
    Kind(
        "failed_unnoticed",
        "failed task whose result nobody reads",
        "warn",
        "The task failed, something still refers to it, and nobody has asked for its result: its work is not done.",
        "Await it, put it in a TaskGroup, or log its exception in a done-callback.",
        "event_never_set",
        "event_set_in_any_case",
        "ended tasks that asyncio still lists, also those that failed before the probe came",
        "Python 3.14, which does not list ended tasks",
        (_after(10),),
    ),
    Kind(
        "loop_blocked",
        "loop blocked by a line",
        "bad",
        "While this line runs, nothing else in the loop does: no other task, no timer, no response to anyone.",
        "Move it to a thread (asyncio.to_thread) or a process, or use an async library.",
        "blocking_call",
        "blocking_call_thread",
        "stacks that the watchdog takes while the line blocks; a loop that is blocked now is reported before it ends",
        "callbacks below the viewer's slow threshold, however many; no line is known for a callback that ends before "
        "its stack is taken; time spent waiting for CPU (a crowded machine) or for the GIL is not counted; on uvloop, "
        "callbacks that are not steps of tasks",
        (
            Threshold("total", 0.5, "s", "how long one line must have blocked within the window"),
            Threshold("window", 30, "s", "period over which it is measured"),
            Threshold("now", 1.0, "s", "a loop blocked for this long is reported immediately"),
        ),
    ),
    Kind(
        "gil_wait",
        "loop waits for the GIL",
        "bad",
        "Another thread holds the GIL: the loop is ready to continue but cannot, at whichever line it is. "
        "That line is not the cause; moving it to a thread makes it worse.",
        "Move the work of the other thread to a process (ProcessPoolExecutor), give it smaller pieces, or use a "
        "library that releases the GIL while it computes.",
        "gil_hog",
        "cpu_bound_pool",
        "what the loop's thread sleeps in, read from the kernel while a callback is slow, its CPU time and that of the "
        "other threads; the line of the thread that ran is read when it releases the GIL",
        "waits between two callbacks, which count as lag; short waits where /proc/self/task/TID/syscall cannot be "
        "read; C libraries other than glibc; sub-interpreters with their own GIL; a thread that sleeps while it "
        "holds the GIL",
        (
            Threshold("total", 0.5, "s", "how long the GIL must have been held at one line within the window"),
            Threshold("window", 30, "s", "period over which it is measured"),
        ),
    ),
    Kind(
        "responses_failing",
        "route that answers with errors",
        "bad",
        "Most responses of this route have status 500 or above: its callers get errors. Its tasks end well, since the "
        "server turns an exception into a response.",
        "See the server's log for the exception, and check what the route depends on: a database, another service, a "
        "setting. looptop why TARGET --group ROUTE shows what its requests wait for.",
        "aiohttp_failing",
        "aiohttp_fallback",
        "the status of responses, counted for each coroutine and label where the server keeps it (aiohttp, hypercorn, "
        "granian, daphne, uvicorn, Django)",
        "routes of which fewer than half of the responses fail, or only a few; statuses below 500; routes that nobody "
        "calls any more; programs with the hooks in Python",
        (
            Threshold("share", 0.5, "0..1", "minimum share of the responses that fail"),
            Threshold("least", 20, "count", "minimum number of failed responses"),
            Threshold("window", 30, "s", "period over which they are counted, unless most have failed from the start"),
        ),
    ),
    Kind(
        "task_busy",
        "one task keeps the loop busy",
        "warn",
        "One task takes most of the loop's time; everything else in the loop waits for it.",
        "Move its work to a process pool, or split it into smaller steps.",
        "huge_json",
        "huge_json_lines",
        "busy time of each task, in both halves of the period",
        "many tasks that together keep the loop busy; one that blocks the loop now in a step that does not end (see "
        "loop_blocked, which names the line)",
        (Threshold("share", 0.5, "0..1", "share of the loop's time"), _after(5)),
    ),
    Kind(
        "busy_loop",
        "busy loop",
        "bad",
        "The task runs again and again without waiting for anything, and uses a whole core to do so.",
        "Wait for what it polls, with Queue.get, an Event or a Future.",
        "queue_polling",
        "queue_blocking",
        "steps, busy and scheduled time of each task, per second",
        "polling with sleep(0.001), which does wait; loops that do not report how long a task was scheduled",
        (
            Threshold("steps", 1000, "1/s", "minimum steps per second"),
            Threshold("idle", 0.02, "0..1", "maximum share of time that it is idle"),
            _after(3),
        ),
    ),
    Kind(
        "tasks_growing",
        "tasks growing at one site",
        "warn",
        "More tasks are created at this line than end; memory use and the loop's work keep growing.",
        "Bound them: a TaskGroup, a semaphore, or a queue with a fixed number of workers.",
        "task_leak",
        "task_leak_bounded",
        "tasks created and ended at each creation site; for slower growth the past that the probe remembers (hooks in "
        "C), and the ages of the tasks that are alive: as many came and stayed in each part of it",
        "growth slower than four tasks a second before ten minutes are over, and slower than six a minute; growth in "
        "bursts with pauses; slow growth of tasks that make a step a minute and more",
        (
            _AWHILE,
            Threshold("least", 20, "count", "minimum growth over the window; three times that over the past"),
            Threshold("ended", 0.5, "0..1", "maximum share of the tasks created in the window that may have ended"),
            Threshold("past", 600, "s", "how long slower growth must have gone on"),
        ),
    ),
    Kind(
        "stands_high",
        "tasks or descriptors that stand high",
        "warn",
        "They grew, stay, and nothing happens: what should have ended or closed them does not come. Near the limit, "
        "opening another file or socket fails.",
        "See what they wait for, and who should close them: `async with`, timeouts, a bound on connections.",
        "connections_left",
        "resource_closed",
        "the past that the probe remembers (hooks in C), and the limit of open files",
        "growth from before the probe came; anything that stands while the loop works",
        (
            Threshold("least", 100, "count", "minimum growth over the known past"),
            Threshold("still", 30, "s", "how long they must have stood at about the same number"),
            Threshold("share", 0.8, "0..1", "share of the limit of open files that is reported in any case"),
        ),
    ),
    Kind(
        "queue_growing",
        "queue growing",
        "warn",
        "Items are added faster than they are removed; they wait longer and longer, and memory grows.",
        "Give the queue a maxsize, so that producers wait for consumers; or consume faster.",
        "queue_growing",
        "queue_bounded",
        "the size of each asyncio.Queue that a task waits on, or that is in a local variable, in an attribute of an "
        "object there, or in a global of its module; read once a second",
        "queues that are hidden deeper; collections.deque and lists; a queue that one function both gets from and puts "
        "into, as a crawler does: it grows for a while, then ends",
        (_AWHILE, Threshold("least", 50, "count", "minimum growth over the window, in items")),
    ),
    Kind(
        "executor_saturated",
        "executor saturated",
        "warn",
        "All workers of the pool are busy and more jobs are queued than it has workers: new jobs wait in line.",
        "Make the pool larger, the jobs shorter, or start fewer of them.",
        "executor_small",
        "executor_sized",
        "the work queues of all concurrent.futures pools, read once a second",
        "pools of other libraries",
        (Threshold("queued", 1.0, "× workers", "queued jobs per worker of the pool"), _after(3)),
    ),
    Kind(
        "lock_convoy",
        "lock convoy",
        "warn",
        "Many tasks queue for one lock or semaphore; the program is only as fast as the tasks that hold it.",
        "Hold it only for the update, not while waiting for something else; let a semaphore admit more, or start less.",
        "lock_convoy",
        "lock_convoy_brief",
        "waiters and holder of each contended lock, waiters of each semaphore, read once a second",
        "the holder of a lock that was taken with `acquire()`; the holders of a semaphore at which tasks still move; a "
        "semaphore whose waiters become fewer, as in a batch of work",
        (
            Threshold("waiters", 4, "count", "minimum number of tasks that wait for one lock"),
            _after(3),
            Threshold("semaphore", 40, "count", "minimum number of tasks that wait for one semaphore"),
            Threshold("window", 10, "s", "how long as many must have waited for the semaphore"),
        ),
    ),
    Kind(
        "never_retrieved",
        "exception never retrieved",
        "bad",
        "The task failed and its result was never awaited: its work was not done, and nothing noticed.",
        "Await the task, or keep it in a TaskGroup.",
        "never_retrieved",
        "never_retrieved_awaited",
        "calls of the loop's exception handler",
        "a failed task that is still referenced: asyncio reports it when the last reference goes",
        (_keep(),),
    ),
    Kind(
        "never_awaited",
        "coroutine never awaited",
        "bad",
        "The coroutine was created and dropped: its body never ran.",
        "Await it, or create a task from it and keep the task.",
        "never_awaited",
        "never_awaited_awaited",
        "the RuntimeWarning that Python issues, whether it is shown or not",
        "a coroutine that is still referenced; where it was created, if it was dropped on another line "
        "(then the line that dropped it and the line that defines it are reported)",
        (_keep(),),
    ),
    Kind(
        "collected_pending",
        "task collected while pending",
        "bad",
        "No reference to the task was kept, so the garbage collector removed it before it was done.",
        "Keep a reference until it is done: a set with a done-callback, or a TaskGroup.",
        "collected_pending",
        "collected_kept",
        "calls of the loop's exception handler",
        "tasks that have not been collected yet",
        (_keep(),),
    ),
    Kind(
        "cancel_swallowed",
        "cancellation swallowed",
        "bad",
        "The task was cancelled and continued as if nothing had happened: its canceller may wait forever.",
        "Clean up, then re-raise the CancelledError.",
        "swallowed_cancel",
        "swallowed_cancel_raised",
        "`task.cancelling()` of all tasks, read once a second; a task that is still inside its `except` or `finally` "
        "is cleaning up and is not reported",
        "a task that calls `uncancel()`, and so continues on purpose; one that ends soon after; until 3.12, one that "
        "uses a TaskGroup and was cancelled before the probe came",
        (_after(1.5),),
    ),
    Kind(
        "cancelled_by",
        "cancelled by another task",
        "warn",
        "Work is thrown away: a task was cancelled along with one that it awaited, or nearly all tasks created at one "
        "line are cancelled from another.",
        "Catch the CancelledError of a task that others may cancel, or shield it; start less work that is thrown away.",
        "cancelled_along",
        "cancelled_along_caught",
        "the stack at the moment when a cancellation wakes a task: the caller of `cancel`, and the line",
        "cancellations by a timeout, a TaskGroup, asyncio.run at its end or Ctrl-C: reported with the task that "
        "ended; the canceller of a task that waits for nothing at that moment (not begun, or ready); a task cancelled "
        "by way of `gather`; a package that cancels its own tasks, such as a server its idle timers",
        (
            Threshold("window", 10, "s", "period over which it is measured"),
            Threshold("least", 50, "count", "minimum number of tasks that one line cancels in the window"),
            Threshold("share", 0.8, "0..1", "minimum share of the tasks created at one line that are cancelled"),
            Threshold("after", 1.5, "s", "how long the program must keep running after the cancellation"),
            _keep(),
        ),
    ),
    Kind(
        "semaphore_overreleased",
        "semaphore released too often",
        "bad",
        "It admits more tasks than it was created for: its limit no longer holds.",
        "Use `async with`, which releases exactly once; a BoundedSemaphore raises on the extra release.",
        "semaphore_released_too_often",
        "semaphore_bounded",
        "BoundedSemaphore: the ValueError that it raises, if a task fails with it; Semaphore: its value, growing by "
        "more than all tasks that existed when it was first seen could release",
        "a plain semaphore with only a few extra releases, or with rare ones among many tasks",
        (Threshold("window", 5, "s", "how long the value of a plain semaphore must grow"), _keep()),
    ),
    Kind(
        "timers_piling_up",
        "timers piling up",
        "warn",
        "Timers (call_later, call_at) are set faster than they run; each keeps its callback and arguments alive.",
        "Cancel timers that are no longer needed, or share one timer.",
        "timers_piling_up",
        "timers_cancelled",
        "the timers of each loop beyond those of sleeping tasks",
        "loops that keep their timers in C (uvloop)",
        (_AWHILE, Threshold("least", 200, "count", "minimum growth over the window")),
    ),
    Kind(
        "memory_growing",
        "memory growing",
        "warn",
        "The process uses more and more memory, without a pause.",
        "Trace it (looptop memory) to see which line allocates the memory that is kept.",
        "list_grows",
        "list_bounded",
        "resident memory; memory traced by tracemalloc while tracing is on",
        "the line, unless tracing is on and a snapshot was taken; growth that is slower, or has pauses",
        (
            Threshold("window", 15, "s", "how long it must grow, in every quarter"),
            Threshold("least", 24, "MiB", "minimum growth of resident memory over the window"),
            Threshold("traced", 8, "MiB", "minimum growth of traced memory over the window"),
        ),
    ),
)
"""Most severe first: the order in which findings are listed."""

BY_KEY = {kind.key: kind for kind in KINDS}

HOLD = Threshold("hold", 5, "s", "how long a finding stays after its cause was last seen, so that it does not flicker")
