"""Enter leads to all workers of a server: from the dashboard of `looptop run`, and from the connect screen."""

from __future__ import annotations

import sys
from contextlib import closing, suppress
from pathlib import Path

from pseudo_terminal import PseudoTerminal
from servers import APP, UVICORN, free_port
from waiting import wait_until
from watched import ROOT

from monitor.attach.worker_processes import children


def terminal(folder: Path, *words: str) -> PseudoTerminal:
    return PseudoTerminal([sys.executable, "-m", "monitor", *words], 110, 30, cwd=folder, PYTHONPATH=str(ROOT))


def select_parent(connect: PseudoTerminal) -> None:
    """Move to the first row. A worker may have been listed before its parent, and then the cursor stays on it."""
    for _ in range(10):
        with suppress(AssertionError):
            connect.press("j")  # what is below the table changes, and is drawn again when the cursor is back
            connect.until("\x1b[", 6)
            connect.press("\x1b[H")
            return connect.until("shows its 2 workers", 6)
    raise AssertionError("the row of the parent does not come")


def test_enter_leads_to_all_workers_of_a_server(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    words = [word.format(port=port, workers=2) for word in UVICORN]
    with closing(terminal(tmp_path, "run", "-m", *words)) as runs:
        runs.until("2 child processes have loops")
        runs.until("Enter shows all of them.")
        (parent,) = children(runs.process.pid)
        runs.press("\r")
        runs.until("2 workers")
        runs.until("● all answer")
        with closing(terminal(tmp_path)) as other:
            other.until("2 Recordings 0")
            other.press("/")
            other.until("Keep")
            other.press(str(port))
            other.press("\r")
            other.until("Open")
            select_parent(other)
            other.press("\r")
            other.until("2 workers")
            other.until("● all answer")
            other.press("q")
            assert other.end() == 0
        runs.press("\r")  # into the dashboard of one, and back
        runs.until("bg-0")
        runs.press("\x1b")
        runs.until("2 workers")
        workers = children(parent)
        runs.press("q")
        assert runs.end() == 0
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in [parent, *workers]), "the end of the server")
