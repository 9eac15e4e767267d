"""What probe and monitor share of the protocol: row columns, limits, encoding, challenge and response. No I/O.

A frame is one JSON object on one line of UTF-8; `docs/protocol.md` is the specification. Times and durations on the
wire are integer microseconds, times of day since the Unix epoch; an unknown value is null.
"""

import json
from collections.abc import Mapping

VERSION = "0.1.0"
"""Version of looptop, as in pyproject.toml."""

PROTOCOL = 1
"""Version of the protocol. A viewer that finds another version in `hello` reports it and disconnects."""

MAX_FRAME = 1 << 20
"""Most bytes of a line from either side, including the newline."""

MAX_REQUEST = 64 << 10
"""Most bytes of a line from a viewer, including the newline."""

STATES = ("running", "scheduled", "waiting", "done", "cancelled", "failed")
"""States of a task; rows carry the index. From index `ENDED` on, the task has ended."""

RUNNING, SCHEDULED, WAITING, DONE, CANCELLED, FAILED = range(6)
ENDED = DONE

NO_TASK = 0
"""Never the id of a task: ids are counted from 1."""

BORN_BEFORE_ATTACH = 1
EAGER = 2

TASK_STATIC = ("id", "name", "coro", "loop", "born", "counted", "parent", "site", "flags")
"""Facts of a task that do not change. The name may; the row is then sent again.

`coro` is an index of strings, `site` one of sites; `born` is null for a task older than the probe; `counted` is the
time since which its steps are counted, null for since birth.
"""

TASK_ROW = ("id", "state", "steps", "busy", "scheduled", "max_step", "label")
"""Figures of a task that change, as absolute values. `scheduled` is null if the loop implementation does not expose
it. `label` is a string, 0 for none (yet)."""

LOOP_STATIC = ("id", "kind", "thread", "name")
LOOP_ROW = ("id", "lag", "busy", "ready", "timers", "steps", "running", "blocked")
"""Figures of a loop: worst lag since the last row, busy time since counting began, ready handles, timers, steps so far,
id of the running task (or null), and how long the current callback has been running."""

BLOCKED_ROW = ("loop", "at_least", "starved", "stack", "blame")
"""A loop that has been blocked for longer than the viewer's threshold. `at_least`: it was blocked before counting
began, so `blocked` of its loop row is a lower bound. `starved`: the part of that time spent waiting for a CPU."""

SITE_ROW = ("site", "born", "ended", "failed", "cancelled", "busy", "steps")
"""Counts of a creation site since counting began: births, ends by outcome, busy time and steps of ended tasks."""

WAIT_ROW = ("id", "kind", "text", "at")
"""Of a task: what it waits on (`kind` and `text` are null if it does not wait), and the site at which its own code
waits: the innermost line of its await stack that is the user's."""

HISTORY_PROCESS = {
    "running": "max",
    "scheduled": "max",
    "waiting": "last",
    "births": "mean",
    "ends": "mean",
    "failures": "mean",
    "rss": "last",
    "cpu": "mean",
    "gc": "max",
    "fds": "last",
    "tasks": "last",
    "gc_time": "mean",
    "gc_longest": "max",
}
"""Columns of the process in a `history` frame, and how ten rows of a second become one: tasks by state, births, ends
and failures a second, resident memory (KiB), thousandths of a core, collections of the oldest garbage,
open descriptors, live tasks (also where the loop does not expose which of them are scheduled), time of all garbage
collections a second and of the longest (us)."""

HISTORY_LOOP = {"lag": "max", "utilization": "mean", "ready": "max", "steps": "mean"}
"""The same of a loop: worst lag (us), thousandths of the time, ready handles, steps a second."""

GROUP_ROW = (
    "number",
    "coro",
    "label",
    "site",
    "live",
    "ended",
    "failed",
    "cancelled",
    "gone",
    "sums",
    "age",
    "ran",
    "queued",
    "waited",
    "slowest",
    "oldest",
    "responses",
    "errors",
    "by_site",
)
"""A group since counting began. `coro` and `label` are strings (label 0: none), `site` is where the coroutine is
defined, or with `by_site` 1 where the tasks are created, whatever their coroutine and label.
`gone`: collected without an end. `sums`: age, ran, queued, waited. `age` to `waited`: a histogram each, bucket and
count in turn. `slowest`: task, age, end, state, line; `oldest` of the live ones: task, age, line, or null.
`responses` whose status could be read, and those of them with 500 and above."""

UNITS = {
    "born": "us",
    "counted": "us",
    "busy": "us",
    "scheduled": "us",
    "max_step": "us",
    "lag": "us",
    "blocked": "us",
    "starved": "us",
}

SCHEMA: dict[str, tuple[str, ...] | dict[str, str]] = {
    "task_static": TASK_STATIC,
    "task_row": TASK_ROW,
    "loop_static": LOOP_STATIC,
    "loop_row": LOOP_ROW,
    "blocked_row": BLOCKED_ROW,
    "site_row": SITE_ROW,
    "wait_row": WAIT_ROW,
    "group_row": GROUP_ROW,
    "states": STATES,
    "units": UNITS,
}


class _Encoder(json.JSONEncoder):
    """A type of its own: since Python 3.13, one encoder with other separators slows down all others of its type."""


_encode = _Encoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def encode(frame: dict[str, object]) -> bytes:
    """A frame as one line, including the newline. A lone surrogate (a file name may hold one) becomes `?`."""
    return _encode(frame).encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> dict[str, object]:
    """The frame in a line. Raises ValueError if it is not a JSON object or is too long."""
    if len(line) > MAX_REQUEST:
        raise ValueError(f"a line of {len(line)} bytes; at most {MAX_REQUEST} are taken")
    frame = json.loads(line)
    if not isinstance(frame, dict):
        raise ValueError("a frame is a JSON object")
    return frame


def answer(token: str, nonce: str) -> str:
    """Proof of knowing the token without sending it: HMAC-SHA256 of the nonce, in hex."""
    import hmac  # loads OpenSSL, so only programs that are watched over TCP import it

    return hmac.new(token.encode(), nonce.encode(), "sha256").hexdigest()


def runtime_dirs(environ: Mapping[str, str], uid: int) -> list[str]:
    """Directories where a user's probes put their sockets, the preferred one first."""
    chosen = environ.get("LOOPTOP_DIR")
    if chosen:
        return [chosen]
    dirs = []
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        dirs.append(f"{runtime}/looptop")
    user_run = f"/run/user/{uid}/looptop"
    if user_run not in dirs:
        dirs.append(user_run)
    dirs.append(f"/tmp/looptop-{uid}")  # noqa: S108 - created 0700 and its owner is checked before use
    return dirs


# The file of a black box; docs/blackbox.md.

BOX_MAGIC = b"looptop-box 1\n"
BOX_HEADING = 4096
"""Bytes before the first segment: the magic, a line of JSON, zeros."""
BOX_END = 3072
"""Where in the heading the program notes how it ended, if it can."""
BOX_STATUS = 3840
"""Where in the heading somebody who has seen the end notes the exit status."""
BOX_SEGMENT = b"LTBS"
BOX_STEPS = b"LTST"
BOX_STEPS_HEADING = 64
"""Bytes before the events of the step ring, which follow the last segment: BOX_STEPS, the CRC-32 of the rest, numbers
of the oldest event and of the one after the newest, Unix time minus the clock of the ring (us)."""
STEP_EVENT = 20
"""Bytes of an event of the step ring."""
BOX_SUFFIX = ".box"


def box_name(name: str, pid: int, session: str) -> str:
    """The name of the file of a black box."""
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name)
    return f"{safe[:40].lstrip('.') or '_'}-{pid}-{session[:8]}{BOX_SUFFIX}"


def name_of_box(file: str) -> str | None:
    """The name of the program in the name of a box's file; None for any other file."""
    if not file.endswith(BOX_SUFFIX):
        return None
    parts = file[: -len(BOX_SUFFIX)].rsplit("-", 2)
    return parts[0] if len(parts) == 3 and parts[1].isdigit() else None


def describe(frame: dict[str, object]) -> str:
    """A short name for a frame in an error message."""
    kind = frame.get("type")
    return kind if isinstance(kind, str) and len(kind) < 40 else "a frame without a type"
