"""Several who look at the same moment: none is in the way of another, whether they come or go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from inject_targets import ROOT, Running
from test_matrix import settled


def looptop(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "monitor", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_three_who_come_together(tmp_path: Path, runtime_dir: Path) -> None:
    """One of them gets in; the others wait for it, and come through its probe."""
    with Running(sys.executable, "idle", tmp_path) as target:
        threads, files = target.threads(), target.files()
        for _ in range(2):
            viewers = [looptop("tasks", str(target.pid)) for _ in range(3)]
            for viewer in viewers:
                out, err = viewer.communicate(timeout=30)
                assert (viewer.returncode, err) == (0, "")
                assert "worker-4" in out
        settled(target, threads, files)
        assert target.stderr == ""


def test_one_who_comes_while_the_probe_is_taken_out(tmp_path: Path, runtime_dir: Path) -> None:
    with Running(sys.executable, "idle", tmp_path) as target:
        threads, files = target.threads(), target.files()
        for _ in range(2):
            assert looptop("attach", str(target.pid), "--stay").wait(30) == 0
            gone, come = looptop("detach", str(target.pid)), looptop("tasks", str(target.pid))
            assert gone.communicate(timeout=30)[1] == ""
            out, err = come.communicate(timeout=30)
            assert (come.returncode, err) == (0, "")
            assert "worker-4" in out
        settled(target, threads, files)
        assert target.stderr == ""
