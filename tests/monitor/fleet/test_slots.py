"""Commands that are started at different times give the same workers the same slots."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.fleet.expansion import Expansion
from monitor.fleet.members import Members

if TYPE_CHECKING:
    import pytest


def test_later_commands_take_the_slots_of_those_that_saw_a_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.environ["LOOPTOP_DIR"])

    def noted() -> list[Path]:
        return list(folder.glob("workers-*.json"))

    def slots(members: Members) -> dict[str, int]:
        return {member.target: member.worker for member in members.scan()}

    with ExitStack() as stack:

        def start() -> str:
            process = stack.enter_context(subprocess.Popen(["sleep", "600"]))
            stack.callback(process.kill)
            return str(process.pid)

        a, b, c = there = [start() for _ in range(3)]
        monkeypatch.setattr(Expansion, "of", lambda _, _target: list(there))
        watching = Members(["@api"])
        assert slots(watching) == slots(Members([str(os.getpid())])) == {a: 0, b: 1, c: 2}
        assert not noted(), "that is the order in which they were started"
        there.remove(b)
        assert slots(watching) == slots(Members(["@api"])) == {a: 0, c: 2}
        there.append(d := start())
        assert slots(watching) == {a: 0, d: 1, c: 2}
        (file,) = noted()
        assert file.stat().st_mode & 0o777 == 0o600
        ended, reused, named = (folder / f"workers-{key}.json" for key in ("4194305-7", f"{os.getpid()}-7", "_other"))
        for path in (ended, reused, named):
            path.write_text("{}")
        assert slots(Members(["@api"])) == {a: 0, d: 1, c: 2}
        assert set(noted()) == {file, named}, "those of a parent that has gone are removed"
        named.unlink()
        for target in ("@api", str(os.getpid())):
            assert slots(Members([target])) == {a: 0, d: 1, c: 2}, target
        there.append(e := start())
        assert slots(Members(["@api"])) == slots(watching) == {a: 0, d: 1, c: 2, e: 3}
        assert slots(Members(["@api", a]))[d] != 1, "another set"
        for text in ("{", "[]", '{"x": -1}', '{"1": "a"}'):
            file.write_text(text)
            assert slots(Members(["@api"])) == {a: 0, c: 1, d: 2, e: 3}, text
            file.unlink(missing_ok=True)
