"""A believable program as frames of the protocol, hostile names among its tasks; and a source that yields them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from monitor.protocol import frames
from monitor.protocol.rows import LoopRow, LoopStaticRow, SiteRow, TaskRow, TaskStaticRow, WaitRow
from monitor.sources.base import Status
from probes.base import protocol

HERE = Path(__file__).parent
APP = str(HERE / "scene_app.py")
ASYNCIO = "/usr/lib/python3.11/asyncio/locks.py"
SECOND = 1_000_000
START = 2_000_000_000 * SECOND  # newer than any file, so that no source looks changed
STATE = {name: number for number, name in enumerate(protocol.STATES)}

HOSTILE = (
    "[/x]",
    "[@click=app.quit]b[/]",
    "[red]evil[/red]",
    "任务-处理器",
    "🚀 launch 🧨",
    "line\nbreak\ttab\x00nul\x7f",
    "\x1b[31mred\x1b[0m\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "x" * 10_000,
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
    "",
)

STRINGS = [
    "too many",
    APP,
    "main",
    "serve",
    "worker",
    "handle",
    "slow_digest",
    "store",
    ASYNCIO,
    "Lock.acquire",
    "/srv/elsewhere/[bold]odd[/].py",
    "[@click=app.quit]f[/]",
]
# number: (file, line, function), numbers of STRINGS
SITES = [
    (0, 0, 0),
    (1, 11, 2),  # 1 main creates the workers
    (1, 18, 3),  # 2 serve creates the handlers
    (1, 12, 2),  # 3 main awaits serve
    (1, 17, 3),  # 4 serve awaits accept
    (1, 23, 4),  # 5 worker awaits the queue
    (1, 24, 4),  # 6 worker awaits the lock
    (8, 113, 9),  # 7 Lock.acquire
    (1, 30, 5),  # 8 handle calls slow_digest
    (1, 31, 5),  # 9 handle sleeps
    (1, 37, 6),  # 10 slow_digest
    (1, 42, 7),  # 11 store sleeps
    (1, 43, 7),  # 12 store raises
    (10, 7, 11),  # 13 a line of a hostile file
    (1, 25, 4),  # 14 worker awaits store
]
MAIN, WORKERS, HANDLERS, HOSTILES = 1, range(2, 7), range(10, 40), range(50, 50 + len(HOSTILE))


def hello(*, session: str = "session-1", at: float = 60.0, pid: int = 4242, **changes: Any) -> frames.Hello:
    """Who is watched."""
    facts: dict[str, Any] = {
        "protocol": protocol.PROTOCOL,
        "session": session,
        "pid": pid,
        "started": START,
        "opened": START + SECOND,
        "now": START + int(at * SECOND),
        "name": "shop",
        "program": "scene_app.py --port 8080",
        "argv": ["scene_app.py", "--port", "8080"],
        "cwd": str(HERE),
        "host": "box",
        "user": "www",
        "python": "3.11.7",
        "implementation": "CPython",
        "probe": "0.1.0",
        "hooks": "pure Python",
        "capabilities": ["cancel", "origins", "histograms", "detach"],
        "settings": frames.Settings(slow=100_000, ended=1000),
        "paths": {"stdlib": ["/usr/lib/python3.11"], "path": [str(HERE)]},
    }
    return frames.Hello(**{**facts, **changes})


def history() -> list[frames.Frame]:
    """What the probe remembers of the time before this viewer: two minutes of each second."""
    lags = [200 + 150 * (second % 7) for second in range(120)]
    lags[30], lags[90] = 400_000, 1_300_000
    process = {
        "waiting": [20 + second // 4 for second in range(120)],
        "ends": [second % 5 for second in range(120)],
        "failures": [int(second == 60) for second in range(120)],
        "cpu": [100 + second for second in range(120)],
        "rss": [(40 << 10) + 64 * second for second in range(120)],
    }
    of_loop = {"lag": lags, "utilization": [8 * second % 1000 for second in range(120)]}
    start = START - 60 * SECOND
    return [
        frames.HistoryRows(loop=0, step=SECOND, from_=start, columns=process),
        frames.HistoryRows(loop=1, step=SECOND, from_=start, columns=of_loop),
    ]


def static() -> frames.Static:
    """Strings, sites, loops and all tasks."""
    tasks: list[Any] = [(MAIN, "main", 2, 1, START + SECOND, None, 0, 0, protocol.BORN_BEFORE_ATTACH)]
    tasks += [(n, f"worker-{n - 2}", 4, 1, START + 2 * SECOND, None, MAIN, 1, 0) for n in WORKERS]
    tasks += [(n, f"Task-{n}", 5, 1, START + (20 + n) * SECOND, None, MAIN, 2, 0) for n in HANDLERS]
    tasks += [
        (n, name, 11 if number == 1 else 4, 1, START + 30 * SECOND, START + 40 * SECOND, 2, 13, protocol.EAGER)
        for number, (n, name) in enumerate(zip(HOSTILES, HOSTILE, strict=True))
    ]
    return frames.Static(
        strings=frames.Strings(from_=0, items=STRINGS),
        sites=frames.Sites(from_=0, items=SITES),
        loops=[LoopStaticRow(1, "asyncio", 140001, "MainThread")],
        tasks=[TaskStaticRow(*row) for row in tasks],
    )


def rows(step: int) -> list[TaskRow]:
    """The figures of all tasks after so many ticks; each tick is a quarter of a second."""
    busy: list[Any] = [(MAIN, STATE["waiting"], 40 + step, 9_000, 1_200, 900)]
    for n in WORKERS:
        state = STATE["running"] if n == 4 else STATE["waiting"]
        busy.append((n, state, 1_000 * n + 40 * step, n * 310_000 + step * 9_000 * (n % 3), 52_000 * n, n * 4_100))
    for n in HANDLERS:
        state = STATE["scheduled"] if n % 11 == 0 else STATE["waiting"]
        longest = 251_000 if n == 17 else 2_300 + n * 31
        busy.append((n, state, n + step, n * 5_210 + (step * 60_000 if n == 17 else 0), n * 700, longest))
    busy += [(n, STATE["waiting"], 3, 1_500, None, 800) for n in HOSTILES]
    return [TaskRow(*row) for row in busy]


def waits() -> list[WaitRow]:
    """What the tasks in sight wait on."""
    result: list[Any] = [(MAIN, "socket", "accept 0.0.0.0:8080")]
    result += [(n, "queue", "get 0/100") for n in (3, 4)]
    result += [(n, "lock", "held by worker-0") for n in (5, 6)]
    result.append((2, "sleep", "0.5s"))
    result += [(n, "socket", "read 10.0.0.7:51" + str(n)) for n in HANDLERS]
    result += [(n, "future", "<Future [/x] pending>") for n in HOSTILES]
    return [WaitRow(*row) for row in result]


def tick(step: int, **changes: Any) -> frames.Tick:
    """A tick, a quarter of a second after the one before."""
    lag = 300 + (step * 37) % 900 + (80_000 if step % 9 == 4 else 0) + (420_000 if step == 21 else 0)
    facts: dict[str, Any] = {
        "at": START + 60 * SECOND + step * 250_000,
        "tasks": rows(step),
        "loops": [LoopRow(1, lag, step * 90_000 + step // 5 * 60_000, 3, 12, step * 1_050, 4, 0)],
        "sites": [
            SiteRow(1, 5, 0, 0, 0, 0, 0),
            SiteRow(2, 1_000 + step * 12, 970 + step * 12, 4, 2, 3_400_000, 48_000),
        ],
        "waits": waits(),
        "process": frames.Process(rss=48_300_000, cpu=step * 110_000, threads=6, fds=41),
        "probe": frames.Probe(cpu=step * 1_500, hooks=step * 700, viewers=1, tasks=46),
    }
    return frames.Tick(**{**facts, **changes})


def detail_of_worker() -> frames.Detail:
    """worker-3 waits for a lock that worker-0 holds."""
    steps = [0] * 32
    for bucket, count in ((3, 4), (4, 122), (5, 731), (6, 1_904), (7, 822), (8, 207), (9, 31), (12, 6), (15, 1)):
        steps[bucket] = count
    schedules = [0] * 32
    for bucket, count in ((1, 12), (2, 2_201), (3, 1_200), (4, 300), (9, 4), (17, 2)):
        schedules[bucket] = count
    return frames.Detail(
        id=5,
        await_stack=[6, 7],
        await_tasks=[(5, 0)],
        waiting_on={"kind": "lock", "repr": "<asyncio.Lock [locked, waiters:2]>", "holder": 2, "waiters": 2},
        awaited_by=[MAIN],
        origin=[1, 3],
        histogram=frames.Histogram(steps=steps, schedules=schedules),
    )


def detail_of_sleeper() -> frames.Detail:
    """worker-0 holds the lock and sleeps inside."""
    return frames.Detail(
        id=2,
        await_stack=[14, 11],
        waiting_on={"kind": "sleep", "repr": "0.5 s", "wakes_at": START + 66 * SECOND + 570_000},
        awaited_by=[MAIN, 5, 6],
    )


def events() -> list[frames.Event]:
    """Slow callbacks, ends and an unhandled exception, in the order of their numbers."""
    at = START + 50 * SECOND
    found: list[frames.Event] = []

    def add(kind: str, **facts: Any) -> None:
        found.append(frames.Event(seq=len(found) + 1, at=at + len(found) * 400_000, kind=kind, **facts))

    for number in range(7):
        stack, blame = ([8, 10], 1) if number % 3 else ([9], 0)
        add(
            "slow_callback", loop=1, duration=130_000 + 61_000 * number, task=17 if number < 5 else 90 + number,
            name="Task-17", callback="handle()", stack=stack, blame=blame, samples=2 + number,
            label="GET /orders/{id}" if number % 3 else None,
        )  # fmt: skip
    add("slow_callback", loop=1, duration=101_000, task=None, name=None, callback="on_timer()", stack=[], blame=-1)
    add(
        "slow_callback", loop=1, duration=1_912_000, task=51, name=HOSTILE[1], callback="[/x]", stack=[13], blame=0,
    )  # fmt: skip
    trace = frames.ExceptionFacts(type="KeyError", message="'no such shelf: [bold]B7[/]'", traceback=[14, 12])
    odd_names = [("shelf", "'[bold]B7[/]'"), ("api_token", "<masked>"), (HOSTILE[1], "\x1b[31m" + "wide 漢字 " * 30)]
    trace = msgspec.structs.replace(trace, locals=[None, odd_names])
    add(
        "task_ended", task=91, name="worker-9", coro="worker", outcome="failed", exception=trace,
        age=9_120_000, busy=212_000, scheduled=1_000, steps=812, max_step=9_100, site=1, parent=MAIN, loop=1,
    )  # fmt: skip
    for number, outcome in enumerate(("done", "cancelled", "done", "done")):
        add(
            "task_ended", task=92 + number, name=f"Task-{92 + number}", coro="handle", outcome=outcome,
            age=810_000 + number, busy=12_000, steps=9, max_step=8_000, site=2, parent=MAIN, loop=1,
        )  # fmt: skip
    odd = frames.ExceptionFacts(type="[/x]", message="[@click=app.quit]b[/]\nsecond\x1b[31m line", traceback=[13])
    add(
        "task_ended", task=99, name=HOSTILE[6], coro="[/x]", outcome="failed", age=None, busy=None, steps=None,
        exception=odd,
    )  # fmt: skip
    add("unhandled", message="Task exception was never retrieved", exception=trace, task=91, name="worker-9")
    return found


def everything(ticks: int = 24) -> list[frames.Frame]:
    """The whole scene."""
    return [hello(), static(), *events(), *(tick(step) for step in range(1, ticks + 1))]


class FakeSource:
    """Yields what it is fed, notes what it is told."""

    def __init__(self, *fed: frames.Frame) -> None:
        self.status = Status("connected", "", START / SECOND)
        self.waiting: list[frames.Frame] = list(fed)
        self.watched: dict[str, Any] = {}
        self.watches = 0
        self.requests: list[tuple[int, str, dict[str, Any]]] = []
        self.started = self.closed = False
        self.deaf = False
        self.owner: int | None = os.geteuid()

    def start(self) -> None:
        self.started = True

    def frames(self) -> list[frames.Frame]:
        taken, self.waiting = self.waiting, []
        return taken

    def feed(self, *fed: frames.Frame) -> None:
        self.waiting.extend(fed)

    def watch(self, **what: Any) -> None:
        self.watches += 1
        self.watched.update(what)

    def request(self, op: str, **arguments: Any) -> int:
        if self.deaf:
            return 0
        self.requests.append((len(self.requests) + 1, op, arguments))
        return len(self.requests)

    def close(self) -> None:
        self.closed = True


class FakeProgram:
    """A program under run."""

    def __init__(self, lines: list[str] | None = None) -> None:
        self.lines = lines or []
        self.running = True
        self.exit_status: int | None = None
        self.stops = 0

    def output(self) -> list[str]:
        taken, self.lines = self.lines, []
        return taken

    def stop(self) -> None:
        self.stops += 1


class FakeClock:
    """Both clocks of the app: seconds that pass when told."""

    def __init__(self) -> None:
        self.now = START / SECOND + 66.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
