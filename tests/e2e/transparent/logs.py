# ruff: noqa - programs to be watched, not to be liked
import asyncio
import contextvars
import gc
import logging
import sys

logging.basicConfig(format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
variable = contextvars.ContextVar("variable", default="unset")


async def fails(text):
    await asyncio.sleep(0)
    raise RuntimeError(text)


async def pends(loop):
    await loop.create_future()


def raises(text):
    print("context", variable.get())
    raise LookupError(text)


async def main():
    loop = asyncio.get_running_loop()
    asyncio.create_task(fails("never retrieved"))
    asyncio.create_task(fails("named"), name="poor one")
    await asyncio.sleep(0.01)
    gc.collect()
    asyncio.create_task(pends(loop))
    await asyncio.sleep(0.01)
    gc.collect()
    future = loop.create_future()
    future.set_exception(OSError("a future's"))
    del future
    variable.set("set")
    loop.call_soon(raises, "soon")
    loop.call_later(0.002, raises, "later")
    loop.call_soon_threadsafe(raises, "threadsafe")
    await asyncio.sleep(0.01)

    def handler(loop, context):
        print("handler", sorted(context), context["message"], repr(context.get("exception")), context.get("handle"))

    loop.set_exception_handler(handler)
    loop.call_soon(raises, "custom")
    await asyncio.sleep(0.005)

    def broken_handler(loop, context):
        raise ValueError("the handler is broken too")

    loop.set_exception_handler(broken_handler)
    loop.call_soon(raises, "broken")
    await asyncio.sleep(0.005)
    loop.set_exception_handler(None)
    fails("never awaited")
    gc.collect()
    loop.call_exception_handler({"message": "by hand", "extra": 1})
    task = asyncio.create_task(fails("awaited"))
    try:
        await task
    except RuntimeError as error:
        print("caught", error)
    task = asyncio.create_task(asyncio.sleep(5))
    await asyncio.sleep(0)
    task.cancel("by hand")
    try:
        await task
    except asyncio.CancelledError as error:
        print("cancelled", error.args, task)
    try:
        async with asyncio.timeout(0.005):
            await asyncio.sleep(1)
    except TimeoutError as error:
        print("timeout", error, asyncio.current_task().cancelling())
    try:
        await asyncio.wait_for(asyncio.sleep(1), 0.005)
    except TimeoutError as error:
        print("timeout", error)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails("one"))
            group.create_task(asyncio.sleep(1))
            group.create_task(fails("two"))
    except* RuntimeError as many:
        print(many.exceptions)
    for next_one in asyncio.as_completed([asyncio.sleep(0.001, "done"), asyncio.sleep(0.005, "later")]):
        print(await next_one)
    done, pending = await asyncio.wait([asyncio.create_task(asyncio.sleep(0))], timeout=1)
    print(done, pending)
    raise RuntimeError("the end of main")


asyncio.run(main())
