"""The hooks in C and those in Python book the same, whatever a program does; and what it sees is as without either."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORKER = Path(__file__).with_name("schedules.py")

CALLBACKS = st.sampled_from(["fine", "raise", "cancel", "cancel and raise", "cancelled"])
SIMPLE = st.one_of(
    st.tuples(st.sampled_from(["sleep", "look", "sweep", "fail", "cancel_myself", "forget", "doze", "timeout"])),
    st.tuples(st.sampled_from(["wait", "cancel"]), st.integers(0, 3)),
    st.tuples(st.sampled_from(["soon", "threadsafe", "soon_in_a_context"]), CALLBACKS),
    st.tuples(st.just("future"), st.booleans()),
    st.tuples(st.just("factory"), st.sampled_from(["none", "own", "eager"])),
    st.tuples(st.just("watch"), st.booleans(), st.sampled_from([0, 0, 3])),
    st.tuples(st.just("slow"), st.booleans()),
    st.tuples(st.just("debug"), st.booleans()),
)


def _with_children(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    tasks = st.lists(inner, max_size=5)
    return st.one_of(
        st.tuples(st.just("spawn"), st.sampled_from([None, "a name"]), tasks),
        st.tuples(st.sampled_from(["spawn_by_loop", "direct", "thread", "python_task"]), tasks),
        st.tuples(st.sampled_from(["gather", "group"]), st.lists(tasks, max_size=3)),
    )


INSTRUCTION = st.recursive(SIMPLE, _with_children, max_leaves=25)
SCHEDULES = st.lists(INSTRUCTION, min_size=1, max_size=12)


class Worker:
    """A process that runs one schedule after the other."""

    def __init__(self, python: str, mode: str, pure: bool) -> None:
        environ = {"PYTHONMALLOC": "debug", **os.environ, "PYTHONHASHSEED": "0", "LOOPTOP_PURE": "1" if pure else ""}
        self.process = subprocess.Popen(
            [python, str(WORKER), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=environ,
        )  # fmt: skip
        self.hooks = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout and self.process.stderr
        line = self.process.stdout.readline()
        assert line, f"ended with {self.process.wait()}: {self.process.stderr.read()[-3000:]}"
        return json.loads(line)

    def run(self, schedule: Any) -> dict[str, Any]:
        assert self.process.stdin
        with suppress(BrokenPipeError):  # then it says below how it ended
            self.process.stdin.write(json.dumps(schedule) + "\n")
            self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(re.sub(r"0x[0-9a-f]+", "0x…", json.dumps(self._answer())))
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


@pytest.fixture
def twins(python: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Worker, Worker, Worker]]:
    workers = (
        Worker(python, "watched", pure=False), Worker(python, "watched", pure=True), Worker(python, "plain", pure=True)
    )  # fmt: skip
    try:
        if workers[0].hooks != "C":
            pytest.skip(f"the hooks in C are not here: {workers[0].hooks}")
        assert workers[1].hooks == "pure Python (LOOPTOP_PURE is set)"
        yield workers
    finally:
        for worker in workers:
            worker.end()


EXAMPLES = int(os.environ.get("LOOPTOP_TEST_EXAMPLES", "25"))


@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform == "win32", reason="the hooks in C are not built there")
def test_both_twins_book_the_same(twins: tuple[Worker, Worker, Worker]) -> None:
    native, pure, plain = twins

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 100)
    @given(SCHEDULES)
    def compare(schedule: list[Any]) -> None:
        watched = [["watch", True, 0], *schedule]
        booked, twin = native.run(watched), pure.run(watched)
        assert booked["told"] == twin["told"]
        assert booked["seen"] == twin["seen"]
        assert booked["seen"] == plain.run(watched)["seen"], "what the program sees is as without hooks"

    compare()
