"""`--locals` from the program to what is printed."""

from __future__ import annotations

import json
import subprocess
import sys

from watched import ROOT, Program

BODY = """
    import asyncio

    async def order(number, password):
        await asyncio.sleep(0.02)
        return number / 0

    async def main():
        print("ready", flush=True)
        while True:
            await asyncio.wait([asyncio.create_task(order(7, "hunter2"), name="order")])

    def ignore(loop, context):
        pass

    async def start():
        asyncio.get_running_loop().set_exception_handler(ignore)
        await main()

    asyncio.run(start())
"""


def looptop(*args):
    command = [sys.executable, "-m", "monitor", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in done.stdout
    return done.stdout


def test_watch_and_tasks_show_them_only_if_asked(tmp_path):
    with Program(BODY, folder=tmp_path) as program:
        program.expect("ready")
        pid = str(program.pid)
        assert "password" not in looptop("watch", pid, "--duration", "0.6")
        text = looptop("watch", pid, "--duration", "0.6", "--locals")
        assert "order\n" in text
        assert "number   = 7" in text or "number = 7" in text
        assert "password = <masked>" in text
        ended = [
            task
            for task in json.loads(looptop("tasks", pid, "--ended", "--json", "--locals"))["tasks"]
            if task["state"] == "failed"
        ]
        raised = ended[-1]["exception"]
        assert raised["traceback"][-1]["function"] == "order"
        assert {"number": "7", "password": "<masked>"} in [
            task["exception"]["locals"][-1] for task in ended if task["exception"]["locals"]
        ]


def test_run_with_locals_keeps_them_from_the_start(tmp_path):
    (tmp_path / "fails.py").write_text(
        "import asyncio, sys\n"
        "async def order(number):\n    raise KeyError(number)\n"
        "async def main():\n"
        "    print('ready', flush=True)\n    await asyncio.to_thread(sys.stdin.readline)\n"
        "    await asyncio.wait([asyncio.create_task(order(7))])\n    await asyncio.to_thread(sys.stdin.readline)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-m", "monitor", "run", "--headless", "--locals", str(tmp_path / "fails.py")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout.readline() == "ready\n"
        watch = [sys.executable, "-m", "monitor", "watch", str(process.pid), "--json"]
        watching = subprocess.Popen(watch, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        first = watching.stdout.readline()
        assert json.loads(first)["type"]
        process.stdin.write("\n")
        process.stdin.flush()
        for line in watching.stdout:
            if json.loads(line)["type"] == "task_ended":
                break
        assert json.loads(line)["locals"] == [{"number": "7"}]
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        watching.wait(60)
        watching.stdout.close()
