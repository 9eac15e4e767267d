# ruff: noqa - programs to be watched, not to be liked
import asyncio
import gc
import logging
import sys
import time

logging.basicConfig(format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)


later = 0.0


def blocks():
    """Blocks for as long as the probe tells of, and for much longer by the clock of the loop: only this is slow for it,
    however crowded the machine."""
    global later
    time.sleep(0.15)
    later += 1000


async def slow():
    blocks()
    await asyncio.sleep(0)


def slow_callback():
    blocks()


async def fails():
    raise RuntimeError("fails")


def raises():
    raise LookupError("raises")


def deep(level, make):
    return make() if level == 0 else deep(level - 1, make)


async def main():
    loop = asyncio.get_running_loop()
    loop.time = lambda: time.monotonic() + later
    loop.slow_callback_duration = 500
    print(loop.get_debug())
    task = asyncio.create_task(slow(), name="slow one")
    print(task, len(task._source_traceback), task._source_traceback[-1].name)
    deeper = deep(15, lambda: asyncio.create_task(slow()))
    print(deeper, len(deeper._source_traceback), [frame.name for frame in deeper._source_traceback])
    handle = deep(15, lambda: loop.call_soon(print, "deep"))
    print(handle, [frame.name for frame in handle._source_traceback])
    direct = loop.create_task(slow())
    print(direct._source_traceback[-1].name, direct._source_traceback[-1].line)
    handle = loop.call_soon(slow_callback)
    print(handle, handle._source_traceback[-1].line)
    loop.call_soon(raises)
    loop.call_later(0.01, raises)
    asyncio.create_task(fails())
    await task
    await deeper
    await direct
    await asyncio.sleep(0.02)
    gc.collect()
    fails()
    gc.collect()
    try:
        loop.call_soon(main)
    except TypeError as error:
        print(error)
    try:
        loop.call_soon(3)
    except TypeError as error:
        print(error)

    def elsewhere():
        try:
            loop.call_soon(print)
        except RuntimeError as error:
            return str(error)

    print(await asyncio.to_thread(elsewhere))
    pending = asyncio.create_task(loop.create_future().__class__.__await__(loop.create_future()))
    del pending
    await asyncio.sleep(0)
    gc.collect()


asyncio.run(main(), debug=True)
