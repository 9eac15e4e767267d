# ruff: noqa - programs to be watched, not to be liked
import asyncio
import contextvars
import sys

variable = contextvars.ContextVar("variable", default="unset")


async def child(number):
    await asyncio.sleep(0)
    return number


async def main():
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    print(me, me.get_name(), loop, type(loop))
    tasks = [asyncio.create_task(child(n)) for n in range(3)]
    tasks.append(asyncio.create_task(child(9), name="mine"))
    tasks.append(loop.create_task(child(10), name=None))
    tasks.append(asyncio.ensure_future(child(11)))
    context = contextvars.copy_context()
    context.run(variable.set, "theirs")

    async def reads():
        return variable.get()

    tasks.append(asyncio.create_task(reads(), context=context))
    print(tasks)
    print([task.get_coro() for task in tasks])
    print([task.get_stack() for task in tasks][:1], tasks[0]._source_traceback)
    print(loop.get_task_factory(), loop.get_exception_handler(), loop.get_debug(), loop.time() > 0)
    future = loop.create_future()
    handle = loop.call_soon(print, "soon", 1)
    later = loop.call_later(0.05, print, "later")
    never = loop.call_later(30, print, "never")
    cancelled = loop.call_soon(print, "cancelled")
    cancelled.cancel()
    print(future, handle, later, never, cancelled, handle.cancelled(), cancelled.cancelled())
    safe = loop.call_soon_threadsafe(print, "safe")
    print(safe)
    print(await asyncio.gather(*tasks))
    await asyncio.sleep(0.1)
    never.cancel()
    print(tasks, handle, later, never)
    future.set_result(None)
    print(future, len(asyncio.all_tasks()), asyncio.all_tasks() == {me})
    idle = child(1)
    for wrong in (
        lambda: loop.create_task(),
        lambda: loop.create_task(None),
        lambda: asyncio.create_task(3),
        lambda: loop.create_task(idle, nmae="x"),
        lambda: loop.call_soon(),
        lambda: loop.call_soon(print, contxt=None),
    ):
        try:
            wrong()
        except TypeError as error:
            print(type(error), str(error).partition("keyword")[0][-40:])
    idle.close()


asyncio.run(main())
loop = asyncio.new_event_loop()
loop.close()
try:
    loop.call_soon(print)
except RuntimeError as error:
    print(error)
print(loop, asyncio.BaseEventLoop.create_task.__name__, asyncio.BaseEventLoop.call_soon.__qualname__)
print(asyncio.BaseEventLoop.create_task.__doc__, asyncio.Handle._run.__module__, file=sys.stderr)
