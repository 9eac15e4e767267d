"""The status line of `looptop record`, rewritten in place on a terminal."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from monitor.fleet.recorder import SetRecorder
    from monitor.protocol import frames
    from monitor.recording.record import Progress, RecordOptions

EVERY = 0.5
"""Seconds between two updates of the line."""

_CLEAR = "\r\x1b[K"


class _RewrittenLine:
    """A line on stderr that is rewritten at most twice a second. Without a terminal, only what is reported."""

    def __init__(self, head: str) -> None:
        """`head`: what is recorded, and where to."""
        from monitor import terminal

        self._terminal = terminal.can_rewrite(terminal.here(), os.environ)
        self._due = 0.0
        self._head = head

    def __enter__(self) -> Self:
        say(f"recording {self._head}; Ctrl-C ends it")
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def _report(self, text: str) -> None:
        if self._terminal:
            sys.stderr.write(_CLEAR)
        say(text)

    def _rewrite(self, line: Callable[[], str]) -> None:
        """Write the line if it is time to."""
        if not self._terminal or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY
        sys.stderr.write(_CLEAR + line()[: terminal_width() - 1])
        sys.stderr.flush()


class StatusLine(_RewrittenLine):
    """A status line on stderr. Without a terminal: one line at the start and one for each finished file."""

    def __init__(self, hello: frames.Hello, options: RecordOptions) -> None:
        name = f"@{hello.name}" if hello.name else fmt.clean(hello.program)[:60]
        kept = "" if options.ring is None else f", the last {fmt.duration(options.ring)}"
        super().__init__(f"{name} (pid {hello.pid}) → {options.path}{kept}")
        self._finished = 0
        self._lost = 0.0

    def show(self, now: Progress) -> None:
        """Show the progress, at most twice a second."""
        if len(now.finished) > self._finished:
            for path, why in now.finished[self._finished :]:
                self._report(f"{path}: {why}")
            self._finished = len(now.finished)
            self._due = 0.0
        if now.lost is not None and not self._lost:
            self._report("the connection broke; trying again")
        elif now.lost is None and self._lost:
            self._report(f"connected again after {fmt.duration(self._lost)}: they are a gap in the recording")
        self._lost = 0.0 if now.lost is None else max(now.lost, 1e-3)
        self._rewrite(lambda: self.line(now))

    def line(self, now: Progress) -> str:
        """The progress as one line."""
        parts = [
            f"● {_clock(now.seconds)}",
            fmt.several(now.tasks, "task"),
            f"{now.slow} slow",
            f"{now.failed} failed",
            fmt.size(now.written),
        ]
        if now.lost is not None:
            parts[0] = f"○ connection lost for {_clock(now.lost)}, trying again"
        if now.dropped:
            parts.append(f"{fmt.several(now.dropped, 'tick')} dropped")
        if now.finished:
            parts.append(fmt.several(len(now.finished), "file"))
        if now.pending is not None:
            parts.append(f"soon finished: {fmt.clean(now.pending)}")
        return "  ".join(parts)


class SetStatusLine(_RewrittenLine):
    """The same for a set: one line with the sums, and one for each process that comes or cannot be recorded."""

    def __init__(self, title: str, options: RecordOptions, recorder: SetRecorder) -> None:
        kept = "" if options.ring is None else f", the last {fmt.duration(options.ring)} of each"
        super().__init__(f"{fmt.clean(title)} → {options.path}{kept}")
        self._recorder = recorder
        self._path = options.path
        self._seen: set[int] = set()  # identities of those that were reported

    def show(self) -> None:
        """Show the progress, at most twice a second."""
        for one in self._recorder.recorded:
            if id(one) in self._seen or (one.problem is None and one.progress is None):
                continue
            self._seen.add(id(one))
            worker = f"worker {one.member.worker}"
            joined = f"{worker} ({one.pid}) → {one.path.name}"
            self._report(joined if one.problem is None else f"{worker}: {one.problem}")
        self._rewrite(self.line)

    def line(self) -> str:
        """The progress of all as one line."""
        there = [one.progress for one in self._recorder.joined if one.progress is not None]
        running = [one.progress for one in self._recorder.joined if one.progress is not None and one.outcome is None]
        return "  ".join(
            [
                f"● {_clock(max((one.seconds for one in there), default=0.0))}",
                fmt.several(len(running), "process", "processes"),
                fmt.several(sum(one.tasks for one in running), "task"),
                f"{sum(one.slow for one in there)} slow",
                f"{sum(one.failed for one in there)} failed",
                fmt.size(sum(one.written for one in there)),
            ]
        )

    def result(self, reason: str) -> list[str]:
        """The result as lines of text: what went wrong, and a summary."""
        from monitor.recording.metadata import about

        lines = []
        for one in self._recorder.recorded:
            whose = f"worker {one.member.worker}"
            if one.problem is not None and id(one) not in self._seen:
                lines.append(f"{whose}: {one.problem}")
            elif one.outcome is not None and one.outcome.problem is not None:
                lines += [f"{whose}: {text}" for text in one.outcome.lines()]
            elif one.problem is None and one.outcome is None:
                lines.append(f"{whose} did not answer: {one.path.name} may end too early")
        known = [found for one in self._recorder.joined if (found := about(one.path)) is not None]
        if not known:
            return [*lines, f"nothing is recorded: {reason}"]
        size = fmt.size(sum(one.size for one in known))
        return [*lines, f"{self._path}: {fmt.several(len(known), 'recording')}, {size}; {reason}"]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def terminal_width() -> int:
    """Cells available for the line."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
