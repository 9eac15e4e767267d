"""What all tests share: the Pythons of this machine, and a runtime directory of their own for every test."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# `tests/probes` must never be taken for the package of that name.
sys.path[:] = [str(ROOT), *(entry for entry in sys.path if entry != str(ROOT))]

VERSIONS = ("3.11", "3.12", "3.13")


@cache
def find_python(version: str) -> str | None:
    """An interpreter of that version: this one, one of pyenv's, or one on PATH that says so when it is asked."""
    if version == "{}.{}".format(*sys.version_info):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = sorted(pyenv.glob(f"{version}*/bin/python{version}"), reverse=True)
    candidates += [Path(entry) / f"python{version}" for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    for candidate in candidates:
        if not candidate.exists():
            continue
        code = "import sys; print('{}.{}'.format(*sys.version_info))"
        try:
            asked = subprocess.run([str(candidate), "-c", code], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if asked.stdout.strip() == version:
            return str(candidate)
    return None


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    """Each supported Python in turn; loudly skipped where the machine lacks it."""
    found = find_python(request.param)
    if found is None:
        pytest.skip(f"Python {request.param} is not on this machine (looked in pyenv and on PATH)")
    return found


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private LOOPTOP_DIR, so that tests do not see each other's programs; no settings of the caller's."""
    for name in [name for name in os.environ if name.startswith("LOOPTOP")]:
        monkeypatch.delenv(name)
    directory = tmp_path / "run"
    if len(str(directory)) > 75:  # a path of a Unix socket is short
        import tempfile

        directory = Path(tempfile.mkdtemp(prefix="lt-"))
    monkeypatch.setenv("LOOPTOP_DIR", str(directory))
    return directory
