"""At a signal the tasks are written to stderr, also while the loop is blocked, and the program's handlers are its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from waiting import wait_until
from watched import Program

TREE = """
    import asyncio, os, select, signal, sys, time
    import probes
    probes.install(dump_signal="SIGUSR2", name="dumped")

    async def holds(lock, inner):
        async with lock:
            await inner
    async def nap():
        await asyncio.sleep(60)
    async def wants(lock):
        async with lock:
            pass
    async def loop_a():
        await asyncio.wait([tasks["b"]])
    async def loop_b():
        await asyncio.wait([tasks["a"]])
    tasks = {}
    def said():
        return select.select([0], [], [], 0)[0] and os.read(0, 100)

    async def main():
        lock = asyncio.Lock()
        inner = asyncio.create_task(nap(), name="in\\ner")
        keep = [asyncio.create_task(holds(lock, inner), name="holder"), asyncio.create_task(wants(lock), name="wants")]
        tasks["a"] = asyncio.create_task(loop_a(), name="circle-a")
        tasks["b"] = asyncio.create_task(loop_b(), name="circle-b")
        await asyncio.sleep(0.05)
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
        print("sleeps", flush=True)
        while not said():
            began = time.monotonic()
            time.sleep(0.5)
            assert time.monotonic() - began >= 0.5
        print("counts", flush=True)
        while not said():
            pass
        print("over", flush=True)
        sys.stdin.readline()
        seen = []
        signal.signal(signal.SIGUSR2, lambda *_: seen.append(1))
        signal.raise_signal(signal.SIGUSR2)
        probes.uninstall()
        signal.raise_signal(signal.SIGUSR2)
        assert seen == [1, 1]
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        probes.install(dump_signal="usr2")
        print("again", flush=True)
        sys.stdin.readline()

    asyncio.run(main())
"""

REFUSED = """
    import asyncio, faulthandler, os, signal, sys
    import probes

    def refused(name):
        print(name, file=sys.stderr, flush=True)
        probes.install(dump_signal=name)
        probes.uninstall()

    handler = lambda *_: None
    signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # ignored by a job of a shell in the background
    faulthandler.register(signal.SIGQUIT, file=open(os.devnull, "w"))
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    for name in ("SIGUSR1", "SIGQUIT", "SIGUSR2", "SIGTERM", "nonsense"):
        refused(name)
    assert signal.getsignal(signal.SIGUSR1) is handler
    signal.raise_signal(signal.SIGQUIT)  # would kill if that handler were gone
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    probes.install(dump_signal="SIGUSR2")
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGUSR2)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGUSR2
    probes.uninstall()
    print("killed next", flush=True)
    signal.raise_signal(signal.SIGUSR2)
"""


def dumps(program: Program) -> list[list[str]]:
    """The complete texts so far, each as its lines."""
    found: list[list[str]] = []
    for line in list(program.err):
        if line.startswith("looptop: tasks of process"):
            found.append([])
        if found:
            found[-1].append(line)
    return [lines for lines in found if lines[-1].startswith("looptop: end of")]


def dump(program: Program) -> list[str]:
    before = len(dumps(program))
    os.kill(program.pid, signal.SIGUSR2)
    wait_until(lambda: len(dumps(program)) > before, f"the tasks on stderr: {program.stderr[-2000:]}")
    return dumps(program)[-1]


@pytest.mark.parametrize("hooks", ["c", "python"])
def test_tasks_are_written_while_the_loop_is_blocked(
    hooks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPTOP_PURE", "1" if hooks == "python" else "0")
    with Program(TREE, folder=tmp_path, boot=False) as program:
        program.expect("sleeps")
        lines = dump(program)
        assert len(program.out) == 1, "it was written after the loop went on"
        text = "\n".join(lines)
        named = {line.split()[1]: line for line in lines if line.lstrip().startswith("#")}
        holder = named["holder"].split()[0]
        assert named["wants"].endswith(f", held by {holder}")
        assert "waits: lock" in named["wants"]
        assert named["in?er"].startswith("  #") and "waits: sleep 60 s" in named["in?er"]
        assert lines.index(named["in?er"]) > lines.index(named["holder"])
        assert {"circle-a", "circle-b"} <= set(named)
        roots = [int(line.split()[0][1:]) for line in lines if line.startswith("#")]
        assert roots == sorted(roots) and len(roots) >= 4, "the oldest first"
        assert "(above)" in text and "program.py" in text and " nap" in text
        assert "in #" in lines[1] and lines[2].endswith(" main")
        program.say()
        program.expect("counts")
        assert any(line.endswith("main running") for line in dump(program))
        assert len(program.out) == 2, "it was written after the loop went on"
        program.say()
        program.expect("over")
        program.say()
        program.expect("again")
        dump(program)
        assert program.end() == 0, program.stderr
        assert len(dumps(program)) == 3, program.stderr


def test_a_signal_that_is_taken_is_refused_and_given_back(tmp_path: Path) -> None:
    with Program(REFUSED, folder=tmp_path, boot=False) as program:
        program.expect("killed next")
        assert program.end() == -signal.SIGUSR2
    said = [line for line in program.err if "refused" in line or not line.startswith("looptop")]
    reasons = ["handles it", "handles it", "ignores it", "must be one of", "must be one of"]
    assert len(said) == 10, program.stderr
    for line, reason in zip(said[1::2], reasons, strict=True):
        assert reason in line
