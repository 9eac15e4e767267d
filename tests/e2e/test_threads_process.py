"""Threads of a real program: their CPU, their lines, the jobs of executors and the tasks that asked for them."""

import json
import subprocess
import sys

import pytest
from interpreters import find_python
from waiting import wait_until
from watched import ROOT, Program

PYTHONS = [python for python in (find_python(version) for version in ("3.11", "3.13")) if python is not None]

PROGRAM = """
    import _thread, asyncio, threading, time
    from concurrent.futures import ThreadPoolExecutor

    def crunch(most):
        until = time.monotonic() + most
        while time.monotonic() < until:
            sum(range(100))

    def nap(seconds):
        time.sleep(seconds)

    async def ask(pool):
        await asyncio.get_running_loop().run_in_executor(pool, crunch, 120)

    async def hand_over():
        await asyncio.to_thread(nap, 120)

    async def main():
        threading.Thread(target=nap, args=(120,), name="[b]idler", daemon=True).start()
        _thread.start_new_thread(nap, (120,))
        pool = ThreadPoolExecutor(1, thread_name_prefix="pool")
        pool.submit(nap, 0.01)
        tasks = [asyncio.create_task(ask(pool), name="asker"), asyncio.create_task(hand_over(), name="giver")]
        print("ready", flush=True)
        await asyncio.gather(*tasks)

    asyncio.run(main())
"""


def looptop(target, *options, command="threads"):
    command = [sys.executable, "-m", "monitor", command, str(target), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("python", PYTHONS)
def test_threads_with_their_jobs_and_who_asked(tmp_path, python):
    with Program(PROGRAM, folder=tmp_path, python=python) as program:
        program.expect("ready")

        def begun():
            found = json.loads(looptop(program.pid, "--json", "--duration", "0.5"))
            jobs = [thread["job"]["function"] for thread in found["threads"] if thread["job"]]
            return found if sorted(jobs) == ["crunch", "nap"] else None

        found = wait_until(begun, "both jobs")
        assert len(found["threads"]) == 5, found  # main, idler, pool, to_thread, one of _thread; none of the probe
        assert found["more"] == 0
        threads = {thread["name"]: thread for thread in found["threads"]}
        busy = threads["pool_0"]
        assert found["threads"][0] == busy
        assert busy["cpu"] > 3 * sum(thread["cpu"] for thread in found["threads"][1:])
        assert busy["state"] == "running"
        assert (busy["at"]["function"], busy["daemon"]) == ("crunch", False)
        assert "_worker" in [line["function"] for line in busy["stack"]]
        assert busy["job"]["site"] == {"file": str(tmp_path / "program.py"), "line": 5, "function": "crunch"}
        assert busy["job"]["task"]["name"] == "asker"
        assert busy["job"]["task"]["coro"] == "ask"
        assert type(busy["job"]["task"]["id"]) is int
        idler = threads["[b]idler"]
        assert (idler["state"], idler["daemon"], idler["job"]) == ("sleeping", True, None)
        assert idler["at"]["function"] == "nap"
        assert threads["MainThread"]["native"] == program.pid
        assert [name for name, thread in threads.items() if thread["loop"] is not None] == ["MainThread"]
        given = next(thread for name, thread in threads.items() if name.startswith("asyncio"))
        assert given["job"]["function"] == "nap"
        assert given["job"]["task"]["name"] == "giver"
        text = looptop(program.pid, "--duration", "0.1")
        assert "[b]idler" in text
        assert "5 threads; CPU " in text
        recording = tmp_path / "it.looptop"
        looptop(program.pid, "-o", str(recording), "--duration", "6", command="record")
    recorded = json.loads(looptop(recording, "--json"))
    assert recorded["cpu"] > 0
    assert recorded["threads"][0]["name"] == "pool_0"
    assert recorded["threads"][0]["job"]["task"]["name"] == "asker"
    assert [thread["loop"] for thread in recorded["threads"] if thread["name"] == "MainThread"] == [1]
