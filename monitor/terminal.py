"""Detects once whether there is a terminal and what it can do. No other module asks."""

from __future__ import annotations

import os
import select
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

POOR = ("", "dumb", "unknown")
"""Values of TERM without cursor control."""


@dataclass(frozen=True, slots=True)
class Streams:
    """Which of the three standard streams are terminals."""

    stdin: bool
    stdout: bool
    stderr: bool


@dataclass(frozen=True, slots=True)
class Tui:
    """An interactive terminal: the dashboard can run."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Output goes to a file or a pipe: plain text, without colour or cursor codes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """There is a terminal, but the dashboard cannot run on it."""

    reason: str


Decision = Tui | Plain | Refuse


def decide(streams: Streams, environ: Mapping[str, str], platform: str) -> Decision:
    """Decide what to draw on. Textual draws on stderr on POSIX, and reads keys from stdin."""
    if not streams.stdout:
        return Plain("stdout is not a terminal")
    if not streams.stdin:
        return Refuse("stdin is not a terminal, so no key could reach the dashboard")
    if platform == "win32":
        return Tui()
    if not streams.stderr:
        return Refuse("stderr is not a terminal, and that is where the dashboard is drawn")
    if environ.get("TERM", "") in POOR:
        return Refuse(f"TERM is {environ.get('TERM') or 'not set'}, which cannot move a cursor")
    return Tui()


def colour(streams: Streams, environ: Mapping[str, str]) -> bool:
    """Whether plain output may use colour."""
    return streams.stdout and not environ.get("NO_COLOR") and environ.get("TERM", "") not in POOR


def here() -> Streams:
    """The standard streams of this process; a closed one is not a terminal."""
    return Streams(_is_terminal(sys.stdin), _is_terminal(sys.stdout), _is_terminal(sys.stderr))


def decide_here() -> Decision:
    """`decide` for this process."""
    return decide(here(), os.environ, sys.platform)


def colour_here() -> bool:
    """`colour` for this process."""
    return colour(here(), os.environ)


def can_rewrite(streams: Streams, environ: Mapping[str, str]) -> bool:
    """Whether a line on stderr can be rewritten in place."""
    return streams.stderr and environ.get("TERM", "") not in POOR


def width_here(default: int = 120) -> int:
    """Line width in cells: COLUMNS, else the terminal's width, else the default."""
    chosen = os.environ.get("COLUMNS", "")
    if chosen.isdigit() and int(chosen):
        return int(chosen)
    if not here().stdout:
        return default
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or default
    except (OSError, ValueError):
        return default


def hung_up(number: int) -> bool:
    """Whether the other end of a terminal has been closed."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(found & select.POLLHUP for _, found in poll.poll(0))


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:  # the stream is closed
        return False
