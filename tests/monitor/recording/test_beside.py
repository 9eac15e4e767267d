"""The recorder beside a program: what goes wrong in it is said, and leaves no empty file."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FAILING = """
import os, sys
from pathlib import Path
from monitor.recording import detached_recorder
from monitor.recording.record import RecordOptions

def fail(pid):
    raise FileNotFoundError(2, "no such thing", "/somewhere")

detached_recorder._reach = fail
recorder = detached_recorder.DetachedRecorder(RecordOptions(Path(sys.argv[1])))
assert Path(sys.argv[1]).exists()
recorder.begin(os.getpid())
"""


def test_a_recorder_that_fails_says_so_and_leaves_no_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.looptop"
    # Returns when nobody has stderr any more: when the recorder has ended.
    done = subprocess.run([sys.executable, "-c", FAILING, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr.startswith(f"looptop: {path}: the recorder failed: FileNotFoundError: ")
    assert not path.exists()
