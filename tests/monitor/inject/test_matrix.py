"""Every kind of program, on every Python here: attached, looked at, left, and as it was before."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from inject_targets import PATIENCE, Running, interpreters, reach
from waiting import wait_until
from watched import Viewer

from monitor.attach import inject as package
from monitor.attach.inject import payload
from monitor.attach.targets import resolve
from monitor.errors import ConnectError
from monitor.transport import fd_passing
from monitor.transport.connection import connect

VERSIONS = ("own", "system", "3.11", "3.12", "3.13", "3.14", "3.15")
STATES = ("idle", "ticking", "cpu", "malloc", "sleeping", "second_thread")
OWN_ONLY = ("uvloop_idle", "uvloop_busy", "aiohttp")


def interpreter(version: str) -> str:
    found = interpreters().get(version)
    if found is None:
        pytest.skip(f"no Python {version} here (pyenv, or tests/pythons.sh for 3.14 and 3.15)")
    if version != "own" and os.path.realpath(found) == os.path.realpath(interpreters()["own"]):
        pytest.skip(f"Python {version} is the one that runs the tests")
    return found


def look(result: package.Result, rate: int = 20) -> Viewer:
    """Connects and waits for the first whole tick."""
    viewer = Viewer(reach(result))
    viewer.watch(rate=rate)
    viewer.ticks(1)
    return viewer


def settled(target: Running, threads: int, files: list[str]) -> None:
    """Waits until no thread and no file is left of a probe."""
    wait_until(lambda: target.threads() <= threads, f"{threads} threads again")
    wait_until(lambda: target.files() == files or len(target.files()) == len(files), "the same files")


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What is not as it was; of lists only what came or went."""
    found = {}
    for key in before:
        old, new = before[key], after[key]
        if old != new:
            found[key] = sorted(map(str, set(new) ^ set(old))) if key in ("modules", "importers", "sys") else (old, new)
    return found


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("version", VERSIONS)
def test_in_and_out(version: str, state: str, tmp_path: Path, runtime_dir: Path) -> None:
    in_and_out(interpreter(version), state, tmp_path, runtime_dir)


@pytest.mark.parametrize("state", OWN_ONLY)
def test_in_and_out_of_what_is_installed_here(state: str, tmp_path: Path, runtime_dir: Path) -> None:
    pytest.importorskip("aiohttp" if state == "aiohttp" else "uvloop")
    in_and_out(interpreters()["own"], state, tmp_path, runtime_dir)


def test_in_and_out_where_no_descriptors_can_be_taken(
    tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload.fd_passing, "possible", lambda: False)
    in_and_out(interpreters()["own"], "idle", tmp_path, runtime_dir)


def test_nothing_has_a_name_and_others_find_it_all_the_same(tmp_path: Path, runtime_dir: Path) -> None:
    if not fd_passing.possible():
        pytest.skip("this kernel lets nobody take descriptors of another process (Linux 5.6 does)")
    with Running(interpreters()["own"], "idle", tmp_path) as target:
        with pytest.raises(ConnectError, match="has no probe"):
            resolve(str(target.pid))
        result = package.inject(target.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE)
        assert (result.socket, result.listen_fd is not None) == ("", True)
        with look(result) as first, closing(connect(resolve(str(target.pid)))) as second:
            assert second.hello.session == first.frames[0]["session"] == result.session
            assert list(runtime_dir.iterdir()) == []
            files = {name for name in target.files() if "looptop" in name}
            assert all("memfd" in name for name in files), files
            first.ask("detach")
            first.until_end()
        wait_until(lambda: fd_passing.find(target.pid) is None, "the end of the probe")
        with pytest.raises(ConnectError, match=r"process \d+ no longer has a probe"):
            fd_passing.enter(target.pid, result.listen_fd or 0, 1.0)


def in_and_out(python: str, state: str, tmp_path: Path, runtime_dir: Path) -> None:
    with Running(python, state, tmp_path) as target:
        before, threads, files = target.state(), target.threads(), target.files()
        result = package.inject(target.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE)
        assert result.method == "ptrace"
        assert not result.found
        viewer = look(result)
        with viewer:
            hello = viewer.frames[0]
            assert (hello["type"], hello["pid"], hello["session"]) == ("hello", target.pid, result.session)
            names = {f"worker-{i}" for i in range(5)}
            viewer.until(lambda: names <= set(viewer.names()), "the tasks that were there already")
            flags = {facts["flags"] for facts in viewer.facts.values() if facts["name"] in names}
            assert {flag & 1 for flag in flags} == {1}, "born before attach"
            assert viewer.loops
            again = package.inject(target.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE)
            assert (again.found, again.session) == (True, result.session)
            assert viewer.ask("detach")[-1]["ok"]
            viewer.until_end()
        settled(target, threads, files)
        after = target.state()
        if state in ("cpu", "malloc", "sleeping"):
            after["ours"] = []  # a beat of the watchdog waits in the blocked loop, and keeps the probe until it is run
        assert difference(before, after) == {}
        assert target.pages() == 0
        assert target.alive
        assert target.stderr == ""
        assert list(runtime_dir.iterdir()) == []
