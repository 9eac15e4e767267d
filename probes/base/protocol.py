"""The words both sides speak: frame types, row columns, limits, encoding, challenge and response. No I/O.

A frame is one JSON object on one line of UTF-8. `docs/protocol.md` is the specification; this module is what
both sides import of it. Times and durations on the wire are integer microseconds, times of day since the
Unix epoch; a value that nobody can know is null.
"""

import json
from collections.abc import Mapping

PROTOCOL = 1
"""Version of the protocol. A viewer that gets another one in `hello` says so and leaves."""

MAX_FRAME = 1 << 20
"""Bytes of the longest line either side may send, newline included."""

MAX_REQUEST = 64 << 10
"""Bytes of the longest line a viewer may send to a probe, newline included."""

STATES = ("running", "scheduled", "waiting", "done", "cancelled", "failed")
"""States of a task; rows carry the index. From `ENDED` on the task has ended."""

RUNNING, SCHEDULED, WAITING, DONE, CANCELLED, FAILED = range(6)
ENDED = DONE

NO_TASK = 0
"""Never the id of a task: ids are counted from 1."""

BORN_BEFORE_ATTACH = 1
EAGER = 2

TASK_STATIC = ("id", "name", "coro", "loop", "born", "counted", "parent", "site", "flags")
"""Facts of a task that do not change (the name may: then the row is sent again).

`coro` indexes strings; `site` indexes sites; `born` is null for a task older than the probe; `counted` is null
when its steps were counted since birth, else the time since which they are.
"""

TASK_ROW = ("id", "state", "steps", "busy", "scheduled", "max_step")
"""What changes of a task, as absolute values. `scheduled` is null where the loop does not let it be had."""

LOOP_STATIC = ("id", "kind", "thread", "name")
LOOP_ROW = ("id", "lag", "busy", "ready", "timers", "steps", "running", "blocked")
"""Of a loop: the worst lag since the last row, busy since counting began, ready handles, timers, steps so far,
the id of the task that runs (or null), and for how long the callback that runs has been running."""

BLOCKED_ROW = ("loop", "at_least", "starved", "stack", "blame")
"""Of a loop that has been blocked for longer than the viewer's threshold. `at_least`: it was blocked before counting
began, so `blocked` of its loop row is a lower bound. `starved`: how much of it was waiting for a processor."""

SITE_ROW = ("site", "born", "ended", "failed", "cancelled", "busy", "steps")
"""Of a creation site, since watching began: births, ends by outcome, busy and steps of the ended tasks."""

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
    "states": STATES,
    "units": UNITS,
}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def encode(frame: dict[str, object]) -> bytes:
    """One line for a frame, newline included. A lone surrogate (a file name may hold one) becomes `?`."""
    return _encode(frame).encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> dict[str, object]:
    """The frame of a line. Raises ValueError for what is no JSON object or too long."""
    if len(line) > MAX_REQUEST:
        raise ValueError(f"a line of {len(line)} bytes; at most {MAX_REQUEST} are taken")
    frame = json.loads(line)
    if not isinstance(frame, dict):
        raise ValueError("a frame is a JSON object")
    return frame


def answer(token: str, nonce: str) -> str:
    """What proves that one knows the token, without sending it: HMAC-SHA256 of the nonce, in hex."""
    import hmac  # loads OpenSSL: only a program that is watched over TCP pays for it

    return hmac.new(token.encode(), nonce.encode(), "sha256").hexdigest()


def runtime_dirs(environ: Mapping[str, str], uid: int) -> list[str]:
    """Directories where probes of a user leave their sockets, the preferred one first."""
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


def describe(frame: dict[str, object]) -> str:
    """A short name for a frame in an error message."""
    kind = frame.get("type")
    return kind if isinstance(kind, str) and len(kind) < 40 else "a frame without a type"
