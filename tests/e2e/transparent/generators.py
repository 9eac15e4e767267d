# ruff: noqa - programs to be watched, not to be liked
import asyncio
import contextvars
import sys

number = contextvars.ContextVar("number", default=0)


async def counts(most):
    try:
        for value in range(most):
            yield value
            await asyncio.sleep(0)
    finally:
        print("closed", number.get())


async def child():
    number.set(number.get() + 1)
    await asyncio.sleep(0)
    return number.get()


async def main():
    # What -X dev says of steps of 0.1 s on a crowded machine is not always the same.
    asyncio.get_running_loop().slow_callback_duration = 1e6
    async for value in counts(3):
        print(value)
    unfinished = counts(5)
    print(await anext(unfinished))
    number.set(10)
    print(await asyncio.gather(child(), child()), number.get())
    queue = asyncio.Queue(1)

    async def produce():
        for item in range(3):
            await queue.put(item)
        await queue.put(None)

    task = asyncio.create_task(produce())
    while (item := await queue.get()) is not None:
        print(item, queue.qsize())
    await task
    lock = asyncio.Lock()
    async with lock:
        print(lock)

    async def server(reader, writer):
        print(asyncio.current_task().get_coro().__name__, await reader.readline())
        writer.close()

    serving = await asyncio.start_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*serving.sockets[0].getsockname())
    writer.write(b"line\n")
    print(await reader.read())
    writer.close()
    serving.close()
    await serving.wait_closed()
    print(await asyncio.to_thread(number.get))
    print(sys.getrefcount(task) - 2 <= 3, task)


asyncio.run(main())
