"""What is done without a probe, on the other side of a command as here: reading, plans, black boxes, the connect screen."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from interpreters import find_python
from waiting import wait_until
from watched import Program

from monitor.attach import elsewhere
from monitor.attach.programs import Program as Listing
from monitor.cli import main
from monitor.cli.home import Listed
from monitor.errors import UsageError
from monitor.recording.reader import store_at
from monitor.remote import links, place
from monitor.tui.base.choices import Opened

Run = Callable[..., tuple[int, str, str]]

API = """
import asyncio, sys

async def main():
    tasks = [asyncio.create_task(asyncio.sleep(600), name=f"job-{i}") for i in range(3)]
    await asyncio.sleep(0)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "160")

    def command(*args: object) -> tuple[int, str, str]:
        status = main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return status, out, err

    return command


def test_reading_from_outside(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = find_python("3.14")
    if python is None:
        pytest.skip("there is no Python 3.14 on this machine: tests/pythons.sh gets one")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(python).parent), os.environ["PATH"]]))
    via = sys.executable
    off = {"PYTHON_DISABLE_REMOTE_DEBUG": "1"}
    with Program(API, folder=tmp_path, python=python, boot=False, env=off) as program:
        program.expect("ready")
        status, out, err = run("tasks", program.pid, "--read-only", "--json")
        assert (status, err) == (0, "")
        here = json.loads(out)
        status, out, err = run("tasks", program.pid, "--read-only", "--json", "--via", via)
        assert (status, err) == (0, "")
        there = json.loads(out)
        assert there["session"]["hooks"] == "read-only: as asked"
        for name in ("name", "coro", "state", "await_stack"):
            assert sorted(str(task[name]) for task in here["tasks"]) == sorted(str(t[name]) for t in there["tasks"])
        # Nothing may be injected into it: it is read, and the reason is shown.
        for target in (f"{program.pid} via {via}", str(program.pid)):
            status, out, err = run("tasks", target)
            assert (status, err) == (0, "")
            assert "read-only: " in out and "remote debugging disabled" in out and "job-2" in out
        plans = [run("attach", program.pid, "--dry-run", *options) for options in ((), ("--via", via))]
        assert plans[0] == plans[1]
        assert "would be watched read-only" in plans[0][1]
        status, out, err = run("watch", program.pid, "--read-only", "--via", via, "--duration", "0.3", "--json")
        assert (status, err.count("\n")) == (0, 1) and "only ends of tasks are visible" in err
    status, out, err = run("tasks", program.pid, "--read-only", "--via", via)
    assert (status, out) == (3, "")
    assert err.startswith(f"looptop: {via}: no process has the pid {program.pid}") and err.count("\n") == 1
    status, out, err = run("tasks", "unix:/nowhere", "--read-only", "--via", via)
    assert (status, err) == (2, f"looptop: {via}: --read-only is for a process: give its pid, or @NAME\n")


def names_in(box: Path) -> set[str]:
    try:
        return {task.name for task in store_at(box).tasks.values()}
    except UsageError:  # nothing is in it yet
        return set()


def test_programs_that_died(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "there"
    folder.mkdir(mode=0o700)
    via = f"env LOOPTOP_DIR={shlex.quote(str(folder))} {sys.executable}"
    boxed = Path(__file__).parents[2] / "e2e" / "boxed.py"
    environ = {"LOOPTOP": "1", "LOOPTOP_DIR": str(folder)}
    with Program(boxed, "run", folder=tmp_path, boot=False, options=("-m", "probes"), env=environ) as program:
        program.expect("ready")
        wait_until(lambda: [box for box in folder.glob("*.box") if "job-3" in names_in(box)], "its black box")
        status, out, err = run("ps", "--via", via, "--json")
        assert (status, err, json.loads(out)["dead"]) == (0, "", [])
        home = Listed(tmp_path, via)
        assert str(program.pid) in [choice.cells["pid"] for choice in home.programs()]
        opened = home.open("programs", place.join(str(program.pid), via))
        assert isinstance(opened, Opened)
        with closing(opened.source):  # type: ignore[type-var]
            opened.close()
        program.process.kill()
    (dead,) = json.loads(run("ps", "--via", via, "--json")[1])["dead"]
    assert (dead["pid"], dead["name"], dead.pop("via")) == (program.pid, "boxed", via)
    assert "Died, with a black box" in run("ps", "--via", via)[1]
    status, out, err = run("postmortem", "--json", "--via", via)
    assert (status, err, json.loads(out)) == (0, "", {"boxes": [dead]})
    links.link_to(via).skew += 7200  # as if the clock there was two hours ahead
    assert "2h00m ago" in run("postmortem", "--via", via)[1]
    status, out, err = run("tasks", "@boxed", "--via", via)
    assert (status, out) == (3, "")
    assert err.endswith(f"the last of that name ended: looptop postmortem @boxed --via {shlex.quote(via)}\n"), err
    last = run("postmortem", "@boxed", "--json", "--via", via)
    text = run("postmortem", place.join("@boxed", via))
    assert "boxed (pid" in text[2] and "job-3" in text[1]
    status, out, err = run("postmortem", "@nobody", "--via", via)
    assert (status, out) == (2, "")
    assert err.endswith(f"no black box of @nobody: there is @boxed in {folder} (set by LOOPTOP_DIR)\n")
    assert err.count("\n") == 1
    (choice,) = home.recordings()
    assert choice.cells["program"].endswith("boxed.py run") and "ended without a word" in choice.about[1]
    opened = home.open("recordings", choice.key)
    assert isinstance(opened, Opened)
    opened.source.close()
    opened.close()
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob("looptop-*/box")), "the copy"
    monkeypatch.setenv("LOOPTOP_DIR", str(folder))
    assert last == run("postmortem", "@boxed", "--json")


def test_looptop_alone_lists_the_programs_there(run: Run) -> None:
    status, out, err = run("--via", sys.executable)
    assert (status, err) == (0, "")
    assert "Program" in out
    status, out, err = run("--via", sys.executable, "tasks", "@api")
    assert (status, out) == (2, "")
    assert "write it behind: looptop tasks … --via COMMAND" in err and err.count("\n") == 1
    status, out, err = run("--via", sys.executable, "--via", "ssh box")
    assert (status, out, err.count("\n")) == (2, "", 1)


def test_what_the_other_side_lists_has_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = "\x1b[2J"
    listed = Listing(1, None, bad, bad, 0.0, bad, True, bad, (bad,), bad, bad, bad, f"looptop attach 1{bad}")

    class Link:
        def ask(self, op: str, **_: object) -> bytes:
            return json.dumps({op: [asdict(listed)]}).encode()

    monkeypatch.setattr(elsewhere, "link_to", lambda _: Link())
    (program,) = elsewhere.programs("ssh box")
    texts = [value for value in asdict(program).values() if isinstance(value, str)]
    assert len(texts) == 8 and all(text.isprintable() for text in (*texts, *(program.ports or ())))
