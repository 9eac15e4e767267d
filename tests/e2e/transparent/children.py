# ruff: noqa - programs to be watched, not to be liked
import asyncio
import concurrent.futures
import multiprocessing
import os
import subprocess
import sys


async def inner(value):
    task = asyncio.create_task(asyncio.sleep(0.001, value))
    return task.get_name(), await task


def job(value):
    return asyncio.run(inner(value)), hasattr(sys, "_looptop_probe"), "LOOPTOP_BOOT" in os.environ


async def main():
    code = "import sys, os; print(hasattr(sys, '_looptop_probe'), 'sitecustomize' in sys.modules, os.environ.get('PYTHONPATH'))"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    print((await child.communicate())[0].decode(), child.returncode)
    child = await asyncio.create_subprocess_shell("exit 3")
    print(await child.wait())
    loop = asyncio.get_running_loop()
    # Forks come before any thread of our own: one that has been joined may still count for a moment, and warn.
    pid = os.fork()
    if pid == 0:
        print("child", hasattr(sys, "_looptop_probe"), flush=True)
        os._exit(4)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            print(method, await loop.run_in_executor(pool, job, 3), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
