"""What all tests share: the Pythons of this machine, and a runtime directory of their own for every test."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from hypothesis import settings
from interpreters import VERSIONS, find_python

ROOT = Path(__file__).resolve().parent.parent
# `tests/probes` must never be taken for the package of that name.
sys.path[:] = [str(ROOT), *(entry for entry in sys.path if entry != str(ROOT))]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell (POSIX, `&`), and what tests start would be deaf to Ctrl-C, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("looptop", deadline=None)  # a busy machine is no failure
settings.load_profile("looptop")

TWIN = os.environ.get("LOOPTOP_TEST_TWIN")
"""`c` or `pure`: all tests with one twin of the hooks. Else 3.12 has the one in Python, and the others that in C."""


def pytest_configure() -> None:
    from probes.hooks import backend

    if backend.why_pure == backend.STALE:
        # All programs of the tests would get the hooks in Python, and tests of those in C hang or fail one by one.
        raise pytest.UsageError("the native file is stale: make env")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """Ends a run, with all stacks, that hangs where the signal of pytest-timeout does not reach it: in C, with the GIL."""
    marker = item.get_closest_marker("timeout")
    seconds = float(marker.args[0] if marker and marker.args else item.config.getini("timeout") or 0)
    if seconds:
        faulthandler.dump_traceback_later(seconds + 60, exit=True, file=item.config.stash[fault_handler_stderr_fd_key])
    try:
        return (yield)  # type: ignore[misc]
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each supported Python in turn; loudly skipped where the machine lacks it."""
    found = find_python(request.param)
    if found is None:
        pytest.skip(f"Python {request.param} is not on this machine (looked in pyenv and on PATH)")
    if TWIN is None and request.param == "3.12":
        monkeypatch.setenv("LOOPTOP_PURE", "1")
    return found


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A private LOOPTOP_DIR, so that tests do not see each other's programs; no settings of the caller's."""
    for name in [name for name in os.environ if name.startswith("LOOPTOP")]:
        monkeypatch.delenv(name)
    directory, short = tmp_path / "run", None
    if len(str(directory)) > 75:  # a path of a Unix socket is short
        directory = short = Path(tempfile.mkdtemp(prefix="lt-"))
    monkeypatch.setenv("LOOPTOP_DIR", str(directory))
    if TWIN == "pure":
        monkeypatch.setenv("LOOPTOP_PURE", "1")
    yield directory
    if short is not None:
        shutil.rmtree(short, ignore_errors=True)
