"""Crash reports: after an unexpected exception the traceback goes to a file, and one line to the terminal."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback

from textual.worker import WorkerFailed

from monitor.errors import BUG, LooptopError

MOST_CHARS = 200
"""Most characters of the message, which may contain the repr of anything."""


class CrashError(LooptopError):
    """An exception that escaped from a screen, with the path of its traceback."""

    status = BUG


def crashed(error: BaseException) -> CrashError:
    """Writes the traceback to a new private file and returns the error to show."""
    if isinstance(error, WorkerFailed):
        error = error.error
    text = str(error)
    text = text if len(text) <= MOST_CHARS else text[:MOST_CHARS] + "…"
    what = f"looptop itself failed with {type(error).__name__}: {text}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="looptop-crash-", suffix=".txt", encoding="utf-8", errors="backslashreplace", delete=False
        ) as file:
            file.write(_heading())
            file.writelines(traceback.format_exception(error))
    except OSError as problem:
        return CrashError(what, f"the traceback could not be written: {problem}")
    return CrashError(what, f"the traceback is in {file.name}")


def _heading() -> str:
    """Versions and terminal, for the report."""
    packages = " ".join(f"{name} {_version(name)}" for name in ("looptop", "textual", "rich"))
    terminal = f"{os.environ.get('TERM', '')} {os.environ.get('COLORTERM', '')}".strip()
    return f"{packages}, Python {platform.python_version()}, {sys.platform}, TERM {terminal}\n\n"


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # takes 10 ms to import

    try:
        return version(package)
    except PackageNotFoundError:
        return "?"
