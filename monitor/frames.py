"""The frames of a probe as validated structs: what `docs/protocol.md` says, in types. No I/O."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from monitor.errors import LooptopError
from probes import wire

Int = Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]
"""No number on the wire is larger: one of a thousand digits could be turned into no float."""

StaticRow = tuple[Int, str, Int, Int, Int | None, Int | None, Int, Int, Int]
TaskRow = tuple[Int, Int, Int, Int, Int | None, Int]
LoopStaticRow = tuple[Int, str, Int, str]
LoopRow = tuple[Int, Int, Int, Int | None, Int | None, Int, Int | None, Int]
SiteRow = tuple[Int, Int, Int, Int, Int, Int, Int]
WaitRow = tuple[Int, str | None, str | None]
Microseconds = Int


class _Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    pass


class Hello(_Frame, frozen=True, kw_only=True, tag="hello"):
    """Who is watched. Durations of `settings` and all times are microseconds."""

    protocol: Int
    session: str
    pid: Int
    started: Microseconds
    opened: Microseconds
    now: Microseconds
    name: str
    program: str
    argv: list[str] = []
    cwd: str = ""
    host: str = ""
    user: str = ""
    python: str = ""
    implementation: str = ""
    probe: str = ""
    hooks: str = ""
    capabilities: list[str] = []
    settings: dict[str, Any] = {}
    paths: dict[str, list[str]] = {}
    schema: dict[str, Any] = {}


class Strings(msgspec.Struct, frozen=True):
    """New strings of the table, numbered from `from_`."""

    from_: Int = msgspec.field(name="from")
    items: list[str]


class Sites(msgspec.Struct, frozen=True):
    """New sites of the table, numbered from `from_`: file, line, function."""

    from_: Int = msgspec.field(name="from")
    items: list[tuple[Int, Int, Int]]


class Static(_Frame, frozen=True, kw_only=True, tag="static"):
    """Facts that are sent once."""

    strings: Strings | None = None
    sites: Sites | None = None
    loops: list[LoopStaticRow] = []
    tasks: list[StaticRow] = []


class Histogram(msgspec.Struct, frozen=True):
    """Counts by power of two microseconds, of steps and of times scheduled."""

    steps: list[Int]
    schedules: list[Int]


class Detail(msgspec.Struct, frozen=True):
    """Of one task: what is collected only for a viewer that looks at it."""

    id: Int
    await_stack: list[Int] = []
    await_tasks: list[tuple[Int, Int]] = []
    waiting_on: dict[str, Any] | None = None
    awaited_by: list[Int] = []
    origin: list[Int] | None = None
    histogram: Histogram | None = None


class Process(msgspec.Struct, frozen=True):
    """The watched process: bytes, CPU microseconds, counts."""

    rss: Int | None = None
    cpu: Microseconds | None = None
    threads: Int | None = None
    fds: Int | None = None


class Probe(msgspec.Struct, frozen=True):
    """What the probe says of itself."""

    cpu: Microseconds = 0
    hooks: Microseconds = 0
    viewers: Int = 0
    tasks: Int = 0
    dropped: Int = 0
    dropped_at: Microseconds | None = None
    unnamed: Int = 0
    off: list[str] = []


class StepCost(msgspec.Struct, frozen=True):
    """Steps per second of all loops, and busy microseconds per step."""

    steps: float | None = None
    busy: float | None = None


class Tracing(msgspec.Struct, frozen=True):
    """How it stands with tracemalloc while it is on."""

    since: Microseconds
    left: Microseconds
    frames: Int
    limit: Int
    traced: Int
    peak: Int
    overhead: Int
    mine: bool = False
    adopted: bool = False
    before: StepCost = StepCost()
    during: StepCost = StepCost()
    pause: Microseconds | None = None
    looks: Int = 0
    baseline: Microseconds | None = None


class TracingEnd(msgspec.Struct, frozen=True):
    """Why tracing is off again."""

    at: Microseconds
    why: str


class Usage(msgspec.Struct, frozen=True):
    """What the process uses."""

    rss: Int | None = None
    uss: Int | None = None
    fds: dict[str, Int] | None = None
    threads: Int | None = None
    switches: tuple[Int, Int] | None = None


class Collector(msgspec.Struct, frozen=True):
    """What the garbage collector did since somebody watches."""

    enabled: bool = True
    runs: tuple[Int, Int, Int] = (0, 0, 0)
    time: Microseconds = 0
    longest: Microseconds = 0
    collected: Int = 0
    uncollectable: Int = 0


class MemoryTick(msgspec.Struct, frozen=True):
    """The memory of a tick. What is unset has not changed."""

    tracing: Tracing | msgspec.UnsetType | None = msgspec.UNSET
    ended: TracingEnd | None = None
    usage: Usage | None = None
    collector: Collector | None = None


class CancelledBy(msgspec.Struct, frozen=True, kw_only=True):
    """Who cancelled a task: `how` is call, timeout, group, body, end, interrupt, or empty where that is not known."""

    how: str
    task: Int = 0  # that called it, or of a group: that failed; 0: a callback
    name: str = ""
    site: Int = 0
    asked: bool = True  # its own `cancel` was called
    through: Int = 0  # the task that was cancelled, and took this one with it
    through_name: str = ""


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """What findings are made of and no row tells: ids of tasks (0: not known), numbers of things."""

    locks: list[tuple[Int, Int, Int, Int, list[tuple[Int, Int]]]] = []  # number, waiting, holder, its line, waiters
    awaits: list[tuple[Int, list[Int]]] = []  # of holders: task, the tasks that it awaits all of
    queues: list[tuple[Int, str, Int, Int, Int, Int, Int]] = []  # number, label, line, size, most, getters, putters
    semaphores: list[tuple[Int, str, Int, Int, Int | None, Int]] = []  # number, label, line, value, bound, waiting
    executors: list[tuple[Int, str, str, Int, Int, Int, Microseconds]] = []
    """Number, kind, label, workers, most workers, queued, the longest that a task has waited for one."""
    cancelled: list[tuple[Int, Int, Int]] = []  # that went on: task, how often cancelled, its line
    cancellers: list[tuple[Int, CancelledBy]] = []  # of these, as far as it is known: task, by whom
    timers: list[tuple[Int, Int, list[tuple[str, Int]]]] = []  # loop, number, what a sample of them calls
    blocked: list[tuple[Int, Microseconds, Microseconds, list[Int], Int]] = []
    """Loop, for how long, how much of it without a CPU, stack, index of the line to blame."""


MemoryRow = tuple[list[Int], Int, Int, Int, Int]
Figures = tuple[Int, Int, Int, Int]


class MemoryLook(msgspec.Struct, frozen=True, kw_only=True):
    """One look at what is traced: rows are [sites, outermost first], size, size_diff, count, count_diff."""

    at: Microseconds
    blocks: Int
    groups: Int
    pause: Microseconds
    took: Microseconds
    traced: Int
    peak: Int
    overhead: Int
    rss: Int | None = None
    against: str = ""
    against_at: Microseconds | None = None
    group: str = ""
    frames: Int = 1
    rows: list[MemoryRow] | None = None
    shown: Int = 0
    found: Int = 0
    total: Figures = (0, 0, 0, 0)
    hidden: Figures = (0, 0, 0, 0)
    others: Figures = (0, 0, 0, 0)


class ObjectsLook(msgspec.Struct, frozen=True, kw_only=True):
    """Live objects by type: rows are name, count, count_diff."""

    at: Microseconds
    against_at: Microseconds | None = None
    objects: Int
    types: Int
    pause: Microseconds
    took: Microseconds
    rows: list[tuple[str, Int, Int]] = []


ProfiledCall = tuple[
    Microseconds, Microseconds, Microseconds, Int, Int | None, str, list[tuple[Int, Int, Int, Int, Int]]
]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A decorated function. A call is at, elapsed, busy, steps, size_diff, outcome, rows by site."""

    function: str
    module: str
    site: Int
    shape: str
    kind: str
    key_type: str | None = None
    cumulative: bool = False
    running: Int = 0
    calls: Int = 0
    failed: Int = 0
    cancelled: Int = 0
    steps: Int = 0
    elapsed: Microseconds = 0
    longest: Microseconds = 0
    busy: Microseconds = 0
    size_diff: Int | None = None
    kept: Int = 0
    recent: list[ProfiledCall] = []


class Tick(_Frame, frozen=True, kw_only=True, tag="tick"):
    """What changed, by one clock."""

    at: Microseconds
    tasks: list[TaskRow] = []
    gone: list[Int] = []
    loops: list[LoopRow] = []
    sites: list[SiteRow] = []
    waits: list[WaitRow] = []
    detail: Detail | None = None
    process: Process | None = None
    probe: Probe | None = None
    memory: MemoryTick | None = None
    signs: Signs | None = None
    left: Int = 0


class ExceptionFacts(msgspec.Struct, frozen=True):
    """An exception as text; the traceback is a list of sites, outermost first.

    `locals`, if they were asked for: for each of them names with values, or null where they are not kept.
    """

    type: str
    message: str
    traceback: list[Int] = []
    locals: list[list[tuple[str, str]] | None] | None = None


class Event(_Frame, frozen=True, kw_only=True, tag="event"):
    """Something that happened once; which fields are set depends on `kind`."""

    seq: Int
    at: Microseconds
    kind: str
    loop: Int = 0
    duration: Microseconds = 0
    starved: Microseconds = 0
    task: Int | None = None
    name: str | None = None
    callback: str = ""
    stack: list[Int] = []
    blame: Int = -1
    samples: Int = 0
    coro: str = ""
    outcome: str = ""
    exception: ExceptionFacts | None = None
    cancelled_by: CancelledBy | None = None
    age: Microseconds | None = None
    busy: Microseconds | None = None
    scheduled: Microseconds | None = None
    steps: Int | None = None
    max_step: Microseconds | None = None
    site: Int = 0
    parent: Int = 0
    message: str = ""
    text: str = ""


class Reply(_Frame, frozen=True, kw_only=True, tag="reply"):
    """The answer to a request, or a piece of it."""

    id: Int
    ok: bool
    more: bool = False
    error: str = ""
    details: list[Detail] = []
    total: Int | None = None
    now: Microseconds | None = None
    tracing: Tracing | None = None
    memory: MemoryLook | None = None
    objects: ObjectsLook | None = None
    profiles: list[Profile] | None = None


class Challenge(_Frame, frozen=True, kw_only=True, tag="challenge"):
    """What a probe on TCP says first."""

    protocol: Int
    nonce: str


class Error(_Frame, frozen=True, kw_only=True, tag="error"):
    """Why the probe closes the connection."""

    message: str


class TaskColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The live tasks of a keyframe, a list a field. `id` and the times of day are differences to the entry before."""

    id: list[Int] = []
    name: list[str] = []
    coro: list[Int] = []  # number of a string; -1: not known
    loop: list[Int] = []
    born: list[Int | None] = []
    counted: list[Int | None] = []
    parent: list[Int] = []
    site: list[Int] = []
    flags: list[Int] = []
    seen: list[Int | None] = []
    state: list[Annotated[int, msgspec.Meta(ge=0, lt=wire.ENDED)]] = []
    steps: list[Int] = []
    busy: list[Int] = []
    scheduled: list[Int | None] = []
    max_step: list[Int] = []
    since: list[Int | None] = []
    measured: list[Int | None] = []
    unmeasured: list[Int] = []  # busy since `measured`
    shares: list[tuple[Int, float]] = []  # (number of the entry, share), where it is not 0
    waits: list[tuple[Int, str | None, str | None]] = []  # (number of the entry, kind, text), where there is one


class LoopState(msgspec.Struct, frozen=True, kw_only=True):
    """A loop in a keyframe."""

    id: Int
    kind: str
    thread: Int
    name: str
    lag: Microseconds
    utilization: float | None
    ready: Int | None
    timers: Int | None
    steps: Int
    steps_per_s: float | None
    running: Int | None
    blocked: Microseconds
    busy: Microseconds | None
    measured: Microseconds
    measured_busy: Microseconds
    measured_steps: Int


class SiteState(msgspec.Struct, frozen=True, array_like=True):
    """The counts of a creation site in a keyframe."""

    site: Int
    born: Int
    ended: Int
    failed: Int
    cancelled: Int
    busy: Microseconds
    steps: Int
    births_per_s: float
    deaths_per_s: float
    measured: Microseconds
    measured_born: Int
    measured_ended: Int


class ProcessState(msgspec.Struct, frozen=True):
    """The watched process in a keyframe."""

    rss: Int | None
    cpu: float | None
    threads: Int | None
    fds: Int | None
    cpu_total: Microseconds | None
    measured: Microseconds


class ProbeState(msgspec.Struct, frozen=True):
    """What the probe says of itself, in a keyframe."""

    share: float | None
    viewers: Int
    tasks: Int
    dropped: Int
    dropped_at: Microseconds | None
    off: list[str]
    cpu_total: Microseconds | None
    measured: Microseconds
    unnamed: Int = 0


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What a store has kept of the time before a keyframe: events, and the values of its series, the newest last."""

    events: list[Event] = []
    steps: list[float] = []
    task_counts: list[float] = []
    lags: dict[int, list[float]] = {}
    utilizations: dict[int, list[float]] = {}


class MemoryState(msgspec.Struct, frozen=True):
    """What was looked at of memory: the replies that told it, and the sizes of each place before, by time."""

    replies: list[Reply] = []
    sizes: list[tuple[list[Int], list[tuple[Microseconds, Int]]]] = []


class Keyframe(_Frame, frozen=True, kw_only=True, tag="keyframe"):
    """All that a store holds at one moment, but for its history. Recordings have it; no probe sends it.

    A store that gets one forgets everything else.
    """

    hello: Hello
    at: Microseconds
    whole: Microseconds  # of the last tick that was not a piece
    watched_since: Microseconds
    strings: list[str] = []
    sites: list[tuple[Int, Int, Int]] = []
    tasks: TaskColumns = TaskColumns()
    loops: list[LoopState] = []
    site_states: list[SiteState] = []
    slow: list[tuple[Int, Int, float, float, float]] = []  # site or -1, count, total, worst, last
    details: list[Detail] = []
    process: ProcessState
    probe: ProbeState
    left: Int = 0
    missed_events: Int = 0
    ended_total: Int = 0
    last_seq: Int | None = None
    memory: MemoryTick | None = None
    memory_looks: MemoryState | None = None
    signs: tuple[Int, Signs] | None = None  # with the time at which they came
    history: History = History()


Frame = Hello | Static | Tick | Event | Reply | Challenge | Error | Keyframe

_decoder = msgspec.json.Decoder(Hello | Static | Tick | Event | Reply | Challenge | Error)
_envelope = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode(line: bytes) -> Frame | None:
    """The frame of a line; None for a type of frame that this version does not know.

    Raises LooptopError for a line that is no frame, one line that says what is wrong with it.
    """
    try:
        frame: Frame = _decoder.decode(line)
        return frame
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            kind = msgspec.json.decode(_envelope.decode(line)["type"], type=str)
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
            raise LooptopError(
                f"what came is no frame of looptop: {error}", "is it a probe that listens there?"
            ) from None
        if kind not in _KNOWN:
            return None
        _check_protocol_of(line)
        raise LooptopError(f"a broken {kind} frame: {error}", "is the probe of another version?") from None


def _check_protocol_of(line: bytes) -> None:
    """A frame of another protocol need not fit ours: then the protocol is what is wrong, not the frame."""
    try:
        protocol = msgspec.json.decode(_envelope.decode(line)["protocol"], type=int)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return
    _check_version(protocol)


_KNOWN = {"hello", "static", "tick", "event", "reply", "challenge", "error"}


def check_protocol(frame: Hello | Challenge) -> None:
    """Raises LooptopError when the probe speaks another protocol than this viewer."""
    _check_version(frame.protocol)


def _check_version(protocol: int) -> None:
    if protocol != wire.PROTOCOL:
        raise LooptopError(
            f"the probe speaks protocol {protocol}, this looptop speaks {wire.PROTOCOL}",
            "install the same version of looptop on both sides",
        )
