"""A program with tasks, locks, failures and blocking calls, for the tests of its black box. Prints when it is ready."""

import asyncio
import os
import sys
import time


async def job() -> None:
    while True:
        await asyncio.sleep(0.02)


async def fails() -> None:
    raise ValueError("as planned")


async def main() -> None:
    jobs = [asyncio.create_task(job(), name=f"job-{number}") for number in range(10)]
    lock = asyncio.Lock()
    await lock.acquire()
    jobs.append(asyncio.create_task(lock.acquire(), name="waits"))
    failed = asyncio.create_task(fails(), name="fails")
    await asyncio.wait([failed])
    failed.exception()
    time.sleep(0.15)
    print("ready", flush=True)
    how = sys.argv[1] if len(sys.argv) > 1 else "run"
    if how == "block":
        await asyncio.sleep(0.5)
        print("blocking", flush=True)
        time.sleep(60)
    await asyncio.sleep(1.5 if how != "run" else 60)
    if how == "_exit":
        os._exit(3)
    if how == "abort":
        os.abort()
    if how == "fault":
        import faulthandler

        faulthandler._sigsegv()
    if how == "raise":
        raise RuntimeError("the end")
    if how == "exec":
        os.execv("/bin/sleep", ["sleep", "60"])
    if how == "closes":
        os.closerange(3, 1024)
        time.sleep(2.5)
        print("still here", flush=True)
        os._exit(0)


asyncio.run(main())
