# ruff: noqa - programs to be watched, not to be liked
import asyncio
import gc
import logging
import sys
import time

import uvloop

logging.basicConfig(format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)


async def child(value):
    await asyncio.sleep(0.001)
    if value < 0:
        raise ValueError(value)
    return value, asyncio.current_task().get_name()


class Sub(uvloop.Loop):
    pass


async def slow(loop):
    loop.slow_callback_duration = 0.01
    time.sleep(0.02)


async def main():
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 1000  # nothing is slow by chance
    task = loop.create_task(slow(loop))
    loop.call_soon(setattr, loop, "slow_callback_duration", 1000)  # directly after its step
    await task
    print(loop.get_task_factory(), type(loop), asyncio.current_task())
    print(await asyncio.gather(child(1), child(2)), await asyncio.create_task(child(3), name="mine"))
    asyncio.create_task(child(-1))
    await asyncio.sleep(0.01)
    gc.collect()
    loop.call_soon(lambda: 1 / 0)
    handle = loop.call_soon(print, "soon")
    print(handle.cancelled())
    await asyncio.sleep(0.005)
    try:
        await asyncio.wait_for(asyncio.sleep(2), 0.003)
    except TimeoutError:
        print("timeout")
    loop.set_exception_handler(lambda loop, context: print(sorted(context)))
    loop.call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.005)
    child(3)


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
with asyncio.Runner(loop_factory=Sub) as runner:
    runner.run(main())
with asyncio.Runner(loop_factory=uvloop.new_event_loop, debug=True) as runner:
    runner.run(main())
