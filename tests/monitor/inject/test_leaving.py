"""What the probe was made of is gone when it is out, without the program's collector; unless the program holds some of it."""

from __future__ import annotations

import ast
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inject_targets import PATIENCE, PROGRAMS, Running
from test_matrix import interpreter, look, settled
from waiting import wait_until

from monitor.attach.inject import inject, native
from monitor.attach.inject.payload import Payload, make, sources

COUNTING = """
gc.disable()
USED = []
def _count(*_):
    ours = [thing for thing in gc.get_objects() if isinstance(thing, type(_count))
            and thing.__code__.co_filename.startswith("<looptop>")]
    made = [type(thing).__name__ for thing in gc.get_objects()
            if str(vars(type(thing)).get("__module__")).partition(".")[0] in ("_looptop", "probes")]
    os.write(1, repr({"functions": len(ours), "objects": made, "modules": [name for name in sys.modules if name.startswith("_looptop")],
                  "classes": len([kind for kind in object.__subclasses__() if str(kind.__module__)[:9] == "_looptop."]),
                  "used": len(USED)}).encode()
             + b"\\n")
signal.signal(signal.SIGUSR2, _count)
"""

IDLE = """
async def main():
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
"""

KEEPING = """
kept = []
async def keep():
    while not hasattr(sys, "_looptop_probe"): await asyncio.sleep(0.01)
    kept.append(asyncio.get_running_loop().create_task)
    while hasattr(sys, "_looptop_probe"): await asyncio.sleep(0.01)
    while True:
        await kept[0](asyncio.sleep(0.01))
        USED.append(1)
async def main():
    asyncio.get_running_loop().call_soon(ready)
    await keep()
asyncio.run(main())
"""

SLOW = """
import time
async def slow():
    while True:
        await asyncio.sleep(0)
        time.sleep(0.1)
        USED.append(1)
async def main(then):
    kept = [asyncio.create_task(slow()) for _ in range(2)]
    asyncio.get_running_loop().call_soon(then)
    await asyncio.sleep(3600)
running = threading.Event()
threading.Thread(target=asyncio.run, args=(main(running.set),), daemon=True).start()
running.wait()  # it has its files
asyncio.run(main(ready))
"""


def counted(target: Running) -> dict[str, Any]:
    os.kill(target.pid, signal.SIGUSR2)
    told = ast.literal_eval(target.line())
    assert isinstance(told, dict)
    return told


def in_and_out(target: Running, hooks: str) -> None:
    threads, files = target.threads(), target.files()
    result = inject(target.pid, make({"leave": True}, PATIENCE), timeout=PATIENCE)
    with look(result) as viewer:
        assert viewer.frames[0]["hooks"].startswith(hooks)
        viewer.until(lambda: viewer.names(), "a task")
        viewer.ask("detach")
        viewer.until_end()
    settled(target, threads, files)


@pytest.mark.parametrize("hooks", ["C", "pure Python (LOOPTOP_PURE is set)"])
@pytest.mark.parametrize("version", ["own", "system", "3.12", "3.13", "3.14", "3.15"])
def test_nothing_waits_for_the_collector(
    version: str, hooks: str, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(hooks, monkeypatch)

    def gone() -> bool:
        """Classes lead to themselves: only hooks in C can end one at once."""
        left = counted(target)
        if hooks != "C":
            left["classes"] = 0
        return left == {"functions": 0, "objects": [], "modules": [], "classes": 0, "used": 0}

    with Running(interpreter(version), COUNTING + IDLE, tmp_path) as target:
        for _ in range(2):
            in_and_out(target, hooks)
            wait_until(gone, "nothing of the probe")
        mapped = {line.split()[-1] for line in target.maps() if "/probes/" in line}
        assert mapped == ({native.file()["file"]} if hooks == "C" else set())
        assert target.stderr == ""


@pytest.mark.parametrize("version", ["own", "3.13", "3.15"])
def test_two_loops_that_are_inside_a_hook_when_it_goes(version: str, tmp_path: Path, runtime_dir: Path) -> None:
    with Running(interpreter(version), COUNTING + SLOW, tmp_path) as target:
        for _ in range(2):
            in_and_out(target, "")
            left = wait_until(lambda: counted(target), "an answer")
            assert (left["functions"], left["objects"]) == (0, [])
            most = left["used"] + 4
            wait_until(lambda most=most: counted(target)["used"] > most, "steps of both loops")
        assert target.stderr == ""


def test_looks_at_a_loop_that_is_always_busy_leave_no_garbage(tmp_path: Path, runtime_dir: Path) -> None:
    pytest.importorskip("uvloop")
    with Running(interpreter("own"), COUNTING + PROGRAMS["uvloop_busy"], tmp_path) as target:
        in_and_out(target, "")
        wait_until(lambda: not counted(target)["objects"], "nothing of the probe")


@pytest.mark.parametrize("hooks", ["C", "pure Python"])
def test_what_the_program_holds_stays_whole(
    hooks: str, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(hooks, monkeypatch)
    with Running(interpreter("own"), COUNTING + KEEPING, tmp_path) as target:
        in_and_out(target, hooks)
        told = counted(target)
        assert told["functions"] > 100
        wait_until(lambda: counted(target)["used"] > told["used"] + 10, "the use of a hook that was kept")
        assert target.alive
        assert target.stderr == ""


def needs(hooks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chooses the twin that is sent."""
    if hooks == "C" and "why" in native.file():
        pytest.skip(f"the hooks in C are not to be had: {native.file()['why']}")
    if hooks != "C":
        monkeypatch.setenv("LOOPTOP_PURE", "1")


def changed(**facts: Any) -> Payload:
    """A payload that tells the program other things of the file than are so."""
    real = native.file()
    payload = make({"leave": True}, PATIENCE)
    assert ascii(real) in payload.text
    return replace(payload, text=payload.text.replace(ascii(real), ascii({**real, **facts})))


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"machine": "x86_64-linux-musl"}, "built for another kind of Python"),
        ({"file": "/nowhere/_native.abi3.so"}, "its file cannot be read here"),
        ({"identity": [1, 2, 3, 4]}, "its file is another one here"),
        ({"build": "of yesterday"}, "another build is loaded already"),
    ],
)
def test_hooks_in_python_where_the_file_is_not_the_same(
    facts: dict[str, Any], why: str, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("C", monkeypatch)
    with Running(interpreter("own"), COUNTING + IDLE, tmp_path) as target:
        result = inject(target.pid, changed(**facts), timeout=PATIENCE)
        with look(result) as viewer:
            assert viewer.frames[0]["hooks"] == f"pure Python ({why})"
            viewer.until(lambda: viewer.names(), "a task")
        assert target.stderr == ""


def test_hooks_in_python_where_those_in_c_fail(
    tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("C", monkeypatch)
    files = sources()
    real = files["probe"].read_text()
    files["probe"] = tmp_path / "probe.py"
    files["probe"].write_text(
        real.replace("install.state.closed = False", "install.state.closed = install.HOOKS[1]")
    )  # C has none
    assert files["probe"].read_text() != real
    payload = replace(make({"leave": True}, PATIENCE), files=files)
    with Running(interpreter("own"), COUNTING + IDLE, tmp_path) as target:
        result = inject(target.pid, payload, timeout=PATIENCE)
        with look(result) as viewer:
            assert viewer.frames[0]["hooks"].startswith("pure Python (those in C failed: IndexError")
        assert target.stderr == ""


def test_hooks_in_python_where_others_may_write_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "_native.abi3.so"
    file.write_bytes(b"")
    file.chmod(0o666)
    found = file.stat()
    facts = {"file": str(file), "identity": [found.st_dev, found.st_ino, 0, found.st_mtime_ns], "uid": os.geteuid()}
    with pytest.raises(ImportError, match="others may write"):
        module_loader()["read_through"](facts)
    file.chmod(0o644)
    module_loader()["read_through"]({**facts, "identity": [found.st_dev, found.st_ino, 0, file.stat().st_mtime_ns]})


def module_loader() -> dict[str, Any]:
    """What brings the probe in, in the program."""
    names: dict[str, Any] = {"__name__": "module_loader"}
    exec(sources()["module_loader"].read_text(), names)
    return names
