# ruff: noqa - programs to be watched, not to be liked
"""A program that replaces asyncio's own functions before and while it is watched."""

import asyncio
import time

ran = []
original = asyncio.events.Handle._run


def counting_run(self):
    ran.append(1)
    return original(self)


asyncio.events.Handle._run = counting_run
soon = asyncio.BaseEventLoop.call_soon


def counting_soon(self, callback, *args, context=None):
    counting_soon.calls += 1
    return soon(self, callback, *args, context=context)


counting_soon.calls = 0
asyncio.BaseEventLoop.call_soon = counting_soon


async def work():
    for _ in range(5):
        await asyncio.sleep(0)
    return "worked"


async def main():
    await asyncio.sleep(0.3)
    ran.clear()
    counting_soon.calls = 0
    print(await asyncio.gather(work(), work()))
    print(len(ran) >= 10, counting_soon.calls >= 10)
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)


asyncio.run(main())
asyncio.events.Handle._run = original
print(asyncio.events.Handle._run is original)
