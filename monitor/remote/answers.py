"""The relay's answers as validated structs. None of it is trusted: text is shown without control characters."""

from __future__ import annotations

from typing import Any

import msgspec

from monitor import errors
from monitor.errors import ConnectError, LooptopError

MOST_MEMBERS = 1000
"""Processes that one TARGET may mean there."""


class Hello(msgspec.Struct, frozen=True):
    """What the relay reports about the other side, once."""

    python: str
    host: str
    machine: str  # the kind of processor, as `uname -m` prints it
    uid: int
    pid: int
    now: float  # by its clock


class Answer(msgspec.Struct, frozen=True):
    """An answer: an error, or what was requested."""

    error: tuple[str, str, str] | None = None  # its class, its message, a hint
    open: bool = False  # the channel is now a connection to a probe
    pid: int | None = None
    members: list[str] | None = None
    statuses: dict[str, int] = {}  # exit status of members that have gone, negative for a signal
    news: list[str] = []


def decoded(content: bytes, kind: type[Any], command: str) -> Any:
    """An answer as a struct of a class. Raises ConnectError."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConnectError(f"{command} returns data that is not looptop's", "an answer is malformed") from None


def error_of(error: tuple[str, str, str], command: str) -> LooptopError:
    """An error of the other side (class, message, hint) as one of this side."""
    kind, message, hint = (printable(text) for text in error)
    found = vars(errors).get(kind)
    if not (isinstance(found, type) and issubclass(found, LooptopError)):
        found = ConnectError
    return found(f"{command}: {message}", hint)


def members_of(target: str, answer: Answer) -> list[str]:
    """What the other side takes a TARGET for: itself, or pids. Anything else could lead elsewhere."""
    found = [
        one for one in answer.members or () if one == target or (one.isascii() and one.isdigit() and len(one) <= 10)
    ]
    return found[:MOST_MEMBERS]


def printable(text: str, most: int = 1000) -> str:
    """Text of the other side without control characters."""
    text = text[:most]
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def last_line(data: bytes | bytearray) -> str:
    """The last line that is not empty."""
    lines = bytes(data).decode("utf-8", "replace").split("\n")
    return next((found for line in reversed(lines) if (found := printable(line.strip(), 300))), "")


def status_text(status: int | None) -> str:
    """How a command ended, from its exit status."""
    if status is None:
        return "it closed its output"
    return f"it was killed by signal {-status}" if status < 0 else f"it exited with status {status}"
