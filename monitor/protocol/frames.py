"""The frames of a probe as validated structs, as docs/protocol.md specifies them. No I/O."""

from typing import Annotated, Any

import msgspec

from monitor.errors import LooptopError
from monitor.protocol.memory_frames import MemoryReply, MemoryTick, ObjectsReply, Profile, Tracing
from monitor.protocol.rows import (
    BlockedRow,
    CancelledBy,
    GcRow,
    GilHolder,
    GroupRow,
    Int,
    LoopRow,
    LoopStaticRow,
    Microseconds,
    OnLoopRow,
    SiteRow,
    Stack,
    TaskRow,
    TaskStaticRow,
    Text,
    WaitingRow,
    WaitRow,
)
from monitor.protocol.scan_frames import SyncScan
from monitor.protocol.thread_frames import ThreadsReply
from probes.base.protocol import PROTOCOL

MOST_COLUMNS, MOST_ROWS = 40, 4000
"""Limits of a `history` frame. A probe sends 9 columns of 2,160 rows."""

MOST_NAMES, MOST_LOCALS = 1000, 32_000
"""Limits of the local variables of one exception, and of their characters. A probe keeps 20 in each of 20 frames, and
8,000 characters."""


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all frames: a line of the stream, or the keyframe of a recording."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a probe. `slow` is None if it is read from outside, where nothing is measured."""

    slow: Microseconds | None = None
    ended: Int | None = None
    locals: bool = False


class Hello(Frame, frozen=True, kw_only=True, tag="hello"):
    """The first frame of a probe: which process it watches and what it can do."""

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
    counted: Microseconds | None = None
    capabilities: list[str] = []
    settings: Settings = Settings()
    paths: dict[str, list[str]] = {}
    schema: dict[str, tuple[str, ...] | dict[str, str]] = {}


class Strings(msgspec.Struct, frozen=True):
    """New strings of the table, numbered from `from_`."""

    from_: Int = msgspec.field(name="from")
    items: list[Text]


class Sites(msgspec.Struct, frozen=True):
    """New sites of the table, numbered from `from_`: file, line, function."""

    from_: Int = msgspec.field(name="from")
    items: list[tuple[Int, Int, Int]]


class Static(Frame, frozen=True, kw_only=True, tag="static"):
    """Facts that are sent once."""

    strings: Strings | None = None
    sites: Sites | None = None
    loops: list[LoopStaticRow] = []
    tasks: list[TaskStaticRow] = []


class Histogram(msgspec.Struct, frozen=True):
    """Histograms of steps and of scheduled times, by powers of two in microseconds."""

    steps: Stack
    schedules: Stack


class Detail(msgspec.Struct, frozen=True):
    """Details of one task, collected only while a viewer looks at it."""

    id: Int
    await_stack: Stack = []
    await_tasks: list[tuple[Int, Int]] = []
    waiting_on: dict[str, Any] | None = None
    at: Int = 0  # the innermost line of the user's code on the await stack
    awaited_by: list[Int] = []
    origin: Stack | None = None
    histogram: Histogram | None = None


class ProcessFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of the watched process that are the same in ticks and keyframes: bytes, counts."""

    rss: Int | None = None
    threads: Int | None = None
    fds: Int | None = None
    fds_most: Int | None = None
    gc: Annotated[list[GcRow], msgspec.Meta(max_length=8)] = []  # by generation, youngest first


class Process(ProcessFacts, frozen=True, kw_only=True):
    """The watched process in a tick."""

    cpu: Microseconds | None = None


class ProbeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of the probe itself that are the same in ticks and keyframes."""

    viewers: Int = 0
    tasks: Int = 0
    dropped: Int = 0
    dropped_at: Microseconds | None = None
    unnamed: Int = 0
    off: list[Text] = []


class Probe(ProbeFacts, frozen=True, kw_only=True):
    """The probe in a tick: also the CPU time of its threads, and an estimate of the time spent in its hooks."""

    cpu: Microseconds = 0
    hooks: Microseconds = 0


class Flame(msgspec.Struct, frozen=True, kw_only=True):
    """Samples for flame graphs since the last tick that had some."""

    samples: Int = 0
    idle: Microseconds = 0
    on_loop: list[OnLoopRow] = []
    jobs: list[OnLoopRow] = []
    waiting: list[WaitingRow] = []
    late: Int = 0
    lost: Int = 0
    why_not: Text = ""


class GroupsTick(msgspec.Struct, frozen=True, kw_only=True):
    """The groups that changed."""

    since: Microseconds
    rows: list[GroupRow] = []


class Tick(Frame, frozen=True, kw_only=True, tag="tick"):
    """Everything that changed since the previous tick, with one time for all of it."""

    at: Microseconds
    tasks: list[TaskRow] = []
    gone: list[Int] = []
    loops: list[LoopRow] = []
    blocked: list[BlockedRow] = []
    sites: list[SiteRow] = []
    waits: list[WaitRow] = []
    detail: Detail | None = None
    process: Process | None = None
    probe: Probe | None = None
    memory: MemoryTick | None = None
    sync_scan: SyncScan | None = None
    flame: Flame | None = None
    groups: GroupsTick | None = None
    threads: ThreadsReply | None = None
    left: Int = 0
    events_left: Int = 0


class ExceptionFacts(msgspec.Struct, frozen=True):
    """An exception as text; the traceback is a list of sites, outermost first.

    `locals`, if requested: names and values for each site, or null if they are not kept.
    """

    type: Text
    message: Text
    traceback: Stack = []
    locals: list[list[tuple[Text, Text]] | None] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if there are more local variables than a probe keeps."""
        names = [pair for frame in self.locals or () for pair in frame or ()]
        if len(names) > MOST_NAMES or sum(len(name) + len(text) for name, text in names) > MOST_LOCALS:
            raise ValueError("too many local names")


class Places(msgspec.Struct, frozen=True):
    """Sites that the events of a step ring refer to by number, from `from_` on."""

    from_: Int = msgspec.field(name="from")
    items: list[Int]


class Steps(Frame, frozen=True, kw_only=True, tag="steps"):
    """A piece of the step ring: the events in binary form (docs/protocol.md), and what they refer to."""

    offset: Microseconds
    from_: Int = msgspec.field(name="from")
    to: Int
    lost: Int = 0
    left: Int = 0
    places: Places | None = None
    objects: list[tuple[Int, Int]] = []
    """Number and string of objects that tasks wait on; numbers come again after half a million."""
    names: list[tuple[Int, Text]] = []
    """The same as text, in black boxes."""
    events: bytes = b""


class Event(Frame, frozen=True, kw_only=True, tag="event"):
    """Something that happened once; which fields are set depends on `kind`."""

    seq: Int
    skipped: Int = 0  # events before it that this viewer did not ask for
    at: Microseconds
    kind: Text
    loop: Int = 0
    duration: Microseconds = 0
    at_least: bool = False
    starved: Microseconds = 0
    gil: Microseconds = 0
    held_by: GilHolder | None = None
    io: Microseconds = 0
    gc: Microseconds = 0
    importing: Microseconds = 0
    faulting: Microseconds = 0
    faults: Int = 0
    throttled: Microseconds = 0
    task: Int | None = None
    name: Text | None = None
    callback: Text = ""
    stack: Stack = []
    blame: Int = -1
    samples: Int = 0
    coro: Text = ""
    outcome: Text = ""
    exception: ExceptionFacts | None = None
    cancelled_by: CancelledBy | None = None
    age: Microseconds | None = None
    busy: Microseconds | None = None
    scheduled: Microseconds | None = None
    steps: Int | None = None
    max_step: Microseconds | None = None
    site: Int = 0
    label: Text | None = None
    parent: Int = 0
    message: Text = ""
    text: Text = ""


class Reply(Frame, frozen=True, kw_only=True, tag="reply"):
    """The reply to a request, or a piece of it."""

    id: Int
    ok: bool
    more: bool = False
    error: str = ""
    details: list[Detail] = []
    total: Int | None = None
    now: Microseconds | None = None
    tracing: Tracing | None = None
    memory: MemoryReply | None = None
    objects: ObjectsReply | None = None
    profiles: list[Profile] | None = None
    threads: ThreadsReply | None = None


class HistoryRows(Frame, frozen=True, kw_only=True, tag="history"):
    """A time series of the process (`loop` is 0) or of a loop, from before this viewer or new."""

    loop: Int
    step: Microseconds
    from_: Microseconds = msgspec.field(name="from")
    columns: Annotated[
        dict[Text, Annotated[list[Int], msgspec.Meta(max_length=MOST_ROWS)]], msgspec.Meta(max_length=MOST_COLUMNS)
    ]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return max(map(len, self.columns.values()), default=0)

    @property
    def end(self) -> int:
        """When the last row ends (Unix us)."""
        return self.from_ + self.rows * self.step

    def since(self, at: int) -> "HistoryRows | None":
        """The rows that begin at a time or later; None if there are none."""
        over = max(round((at - self.from_) / self.step), 0) if self.step > 0 else self.rows
        if over >= self.rows:
            return None
        columns = {name: values[over:] for name, values in self.columns.items()}
        return HistoryRows(loop=self.loop, step=self.step, from_=self.from_ + over * self.step, columns=columns)


class Challenge(Frame, frozen=True, kw_only=True, tag="challenge"):
    """The first frame of a probe on TCP."""

    protocol: Int
    nonce: str


class Error(Frame, frozen=True, kw_only=True, tag="error"):
    """Why the probe closes the connection."""

    message: str


_decoder = msgspec.json.Decoder(Hello | Static | Tick | HistoryRows | Steps | Event | Reply | Challenge | Error)
_envelope = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode(line: bytes) -> Frame | None:
    """Decode a line; None for a type of frame that this version does not know.

    Raises LooptopError with one line about what is wrong if it is not a valid frame.
    """
    try:
        frame: Frame = _decoder.decode(line)
        return frame
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            kind = msgspec.json.decode(_envelope.decode(line)["type"], type=str)
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
            raise LooptopError(
                f"the received data is not a frame of looptop: {error}", "does a probe listen there?"
            ) from None
        if kind not in _KNOWN:
            return None
        _check_protocol_of(line)
        raise LooptopError(f"a broken {kind} frame: {error}", "is the probe of another version?") from None


def _check_protocol_of(line: bytes) -> None:
    """Report another protocol version first: its frames need not fit this schema."""
    try:
        protocol = msgspec.json.decode(_envelope.decode(line)["protocol"], type=int)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return
    _check_version(protocol)


_KNOWN = {"hello", "static", "tick", "history", "steps", "event", "reply", "challenge", "error"}


def check_protocol(frame: Hello | Challenge) -> None:
    """Raise LooptopError if the probe's protocol version differs from this viewer's."""
    _check_version(frame.protocol)


def _check_version(protocol: int) -> None:
    if protocol != PROTOCOL:
        raise LooptopError(
            f"the probe speaks protocol {protocol}, this looptop speaks {PROTOCOL}",
            "install the same version of looptop on both sides",
        )
