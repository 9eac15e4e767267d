"""What there is to draw on: decided once, here. Nothing else asks whether something is a terminal."""

from __future__ import annotations

import os
import select
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

POOR = ("", "dumb", "unknown")
"""Values of TERM that promise no cursor."""


@dataclass(frozen=True, slots=True)
class Streams:
    """Which of the three standard streams are terminals."""

    stdin: bool
    stdout: bool
    stderr: bool


@dataclass(frozen=True, slots=True)
class Tui:
    """A terminal that a person sits at: the dashboard may have it."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Output that goes into a file or a pipe: text, without colour or cursor codes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """There is a terminal, but not one that the dashboard could work on."""

    reason: str


Decision = Tui | Plain | Refuse


def decide(streams: Streams, environ: Mapping[str, str], platform: str) -> Decision:
    """Whether there is a terminal for the dashboard. Textual draws on stderr, on POSIX, and needs keys from stdin."""
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
    """Whether plain output may have colour."""
    return streams.stdout and not environ.get("NO_COLOR") and environ.get("TERM", "") not in POOR


def here() -> Streams:
    """The streams of this process; one that is closed is no terminal."""
    return Streams(_is_terminal(sys.stdin), _is_terminal(sys.stdout), _is_terminal(sys.stderr))


def decide_here() -> Decision:
    """The decision for this process."""
    return decide(here(), os.environ, sys.platform)


def colour_here() -> bool:
    """Whether plain output of this process may have colour."""
    return colour(here(), os.environ)


def can_rewrite(streams: Streams, environ: Mapping[str, str]) -> bool:
    """Whether a line on stderr can be written again and again."""
    return streams.stderr and environ.get("TERM", "") not in POOR


def width_here(default: int = 120) -> int:
    """Cells in a line: COLUMNS, else those of the terminal, else the default."""
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
    """Whether the other end of a terminal was closed."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(found & select.POLLHUP for _, found in poll.poll(0))


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:  # it was closed
        return False
