"""Sets of programs on several machines: each is a runtime directory of its own, reached by a command of its own."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import wait_until
from watched import Program

from monitor.cli import main
from monitor.cli.target import Connector
from monitor.findings.thresholds import Thresholds
from monitor.fleet import expansion
from monitor.fleet.base import ASKED
from monitor.fleet.fleet import Fleet
from monitor.fleet.members import Members
from monitor.fleet.service import Service
from monitor.remote import links, place

API = """
import asyncio, sys

async def main():
    tasks = [asyncio.create_task(asyncio.sleep(600), name=f"job-{i}") for i in range(3)]
    await asyncio.sleep(0)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def no_links() -> Iterator[None]:
    yield
    links.close_all()


class Machine:
    """A folder in which programs announce themselves, and the command that leads to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)
        self.via = f"env LOOPTOP_DIR={shlex.quote(str(folder))} {sys.executable}"

    def program(self) -> Program:
        program = Program(API, folder=self.folder, settings={"name": "api"}, env={"LOOPTOP_DIR": str(self.folder)})
        program.expect("ready")
        return program


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Machine, Machine]:
    return Machine(tmp_path / "a"), Machine(tmp_path / "b")


def test_programs_of_one_name_on_two_machines(
    machines: tuple[Machine, Machine], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = machines
    with one.program() as first, one.program() as second, other.program() as third:
        vias = ["--via", one.via, "--via", other.via]
        assert main(["tasks", "@api", *vias, "--filter", "name:job-*", "--json"]) == 0
        out, err = capfd.readouterr()
        assert err == ""
        found: dict[str, Any] = json.loads(out)
        pids = [(each["worker"], each["pid"]) for each in found["processes"]]
        assert sorted(pids[:2], key=lambda pair: pair[1]) != []
        assert {pid for _, pid in pids[:2]} == {first.pid, second.pid}
        assert pids[2] == (2, third.pid)
        assert len(found["tasks"]) == 9
        assert main(["ps", "@api", *vias, "--json"]) == 0
        listed = json.loads(capfd.readouterr().out)["programs"]
        assert [(each["worker"], each["pid"]) for each in listed] == pids
        assert [each["via"] for each in listed] == [one.via, one.via, other.via]
        # One of them cannot be reached: the others are shown.
        assert main(["tasks", "@api", "--via", "sh -c 'exit 7'", "--via", other.via, "--json"]) == 0
        out, err = capfd.readouterr()
        assert "leads to no Python: it exited with status 7" in err
        assert err.count("\n") == 1
        answered = [each["pid"] for each in json.loads(out)["processes"] if each["problem"] is None]
        assert answered == [third.pid]
        assert main(["tasks", "@api", "--via", "sh -c 'exit 7'", "--via", "sh -c 'exit 8'"]) == 3
        capfd.readouterr()
        # What takes one program takes one --via.
        assert main(["detach", "@api", *vias]) == 2
        assert "this command takes one program: give --via once" in capfd.readouterr().err

        monkeypatch.setattr(expansion, "FIRST_PAUSE", 0.1)
        targets = [place.join("@api", one.via), place.join("@api", other.via)]
        with closing(Fleet(Members(targets), Connector(), ASKED)) as fleet:
            service = Service(fleet, Thresholds())
            assert service.elsewhere

            changes: list[Any] = []

            def rows() -> list[Any]:
                changes.extend(service.step())
                time.sleep(0.02)
                return service.rows()

            def up(number: int) -> bool:
                found = rows()
                return len(found) == number and all(row.problem is None and row.tasks for row in found)

            wait_until(lambda: up(3), "all three")
            assert {row.host for row in service.rows()} == {os.uname().nodename}
            with other.program() as fourth:
                wait_until(lambda: up(4), "one that was started there")
                assert service.rows()[3].pid == fourth.pid
                changes.clear()
                fourth.process.kill()  # not reaped before it was seen
                (end,) = wait_until(lambda: rows() and [one for one in changes if not one.joined], "the end of it")
                assert (end.worker, end.pid, end.reason) == (3, fourth.pid, "killed by SIGKILL")
            # The connection to one machine breaks: its workers are in trouble, and come again in their slots.
            slots = {row.pid: row.worker for row in service.rows()}
            links.link_to(one.via).close()
            wait_until(lambda: [row.pid for row in rows() if row.problem is not None], "the workers there in trouble")
            assert [row.problem for row in service.rows() if row.pid == third.pid] == [None]
            wait_until(lambda: up(3), "all three again")
            assert {row.pid: row.worker for row in service.rows()} == slots
            with one.program():
                wait_until(lambda: up(4), "one that was started after the connection had broken")
            relays = [psutil.Process(links.link_to(machine.via).hello.pid) for machine in machines]
            left = [*relays, *(child for relay in relays for child in relay.children())]
            assert len(left) >= 4, "those that follow the members"
        links.close_all()
        wait_until(lambda: not any(process.is_running() for process in left), "nothing to be left there")
