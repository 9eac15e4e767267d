"""Programs in which somebody has replaced functions of Python: gevent, eventlet, or the program itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from inject_targets import PATIENCE, Running, interpreters
from test_matrix import look, settled

from monitor.attach.inject import inject
from monitor.attach.inject.payload import make
from monitor.errors import ConnectError

# As gevent does: what waits makes a hub for the thread, of two descriptors; what starts a thread starts a greenlet.
LIKE_GEVENT = """
import select, time, types
sys.modules["gevent"] = types.ModuleType("gevent")
def hub(*_, **__):
    kept.append((os.eventfd(0), select.epoll()))
    raise RuntimeError("no such loop here")
hub.__module__ = "gevent.hub"
kept = []
import _thread
async def main():
    tasks = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    for module, name in ((_thread, "start_new_thread"), (time, "sleep"), (threading, "_start_new_thread"), (select, "poll")):
        setattr(module, name, hub)
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


@pytest.mark.parametrize("version", ["own", "3.12", "3.13", "3.14", "3.15"])
def test_gevent(version: str, tmp_path: Path, runtime_dir: Path) -> None:
    python = interpreters().get(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    with Running(python, LIKE_GEVENT, tmp_path) as running:
        threads, files = running.threads(), running.files()
        for _ in range(3):
            with look(inject(running.pid, make({"leave": True}, PATIENCE), timeout=PATIENCE)) as viewer:
                viewer.until(lambda: "worker-4" in viewer.names(), "the tasks")
                assert viewer.ask("detach")[-1]["ok"]
                viewer.until_end()
            settled(running, threads, files)
        assert running.stderr == ""


@pytest.mark.parametrize("name", ["compile", "exec", "__import__", "__build_class__"])
def test_a_builtin_that_fails(name: str, tmp_path: Path, runtime_dir: Path) -> None:
    """Nothing may get out to the program's stderr."""
    text = f"""
import builtins
def fails(*_, **__): raise RuntimeError("not here")
async def main():
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(0)
    genuine, builtins.{name} = builtins.{name}, fails
    while not os.path.exists("enough"): await asyncio.sleep(0.02)
    builtins.{name} = genuine
    os.write(1, b"over\\n")
    await asyncio.sleep(3600)
asyncio.run(main())
"""
    with Running(interpreters()["own"], text, tmp_path) as running:
        threads, files = running.threads(), running.files()
        try:
            inject(running.pid, make({"leave": True}, 1), timeout=1)
        except ConnectError:
            pass
        (tmp_path / "enough").touch()
        assert running.line() == "over"
        settled(running, threads, files)
        assert running.stderr == ""
