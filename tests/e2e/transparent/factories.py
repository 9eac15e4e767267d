# ruff: noqa - programs to be watched, not to be liked
import asyncio
import sys


class Special(asyncio.Task):
    def __repr__(self):
        return f"<Special {self.get_name()}>"


made = []


def factory(loop, coro, **kwargs):
    made.append(sorted(kwargs))
    return Special(coro, loop=loop, **kwargs)


def python_tasks(loop, coro, **kwargs):
    return asyncio.tasks._PyTask(coro, loop=loop, **kwargs)


def broken(loop, coro, **kwargs):
    coro.close()
    raise ZeroDivisionError("in the factory")


async def work(value):
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    if value < 0:
        raise ValueError(value)
    return value


async def main():
    loop = asyncio.get_running_loop()
    print(loop.get_task_factory() is factory)
    print(await asyncio.create_task(work(1), name="first"))
    loop.set_task_factory(python_tasks)
    task = asyncio.create_task(work(2))
    print(type(task).__name__, task, asyncio.current_task())
    print(await task, task)
    inner = asyncio.create_task(work(5))
    print(await asyncio.shield(inner), await asyncio.wait_for(work(6), 5))
    async with asyncio.TaskGroup() as group:
        group.create_task(work(1))
        group.create_task(work(2))
    print(await asyncio.gather(work(-1), work(3), return_exceptions=True))
    loop.set_task_factory(broken)
    try:
        asyncio.create_task(work(1))
    except ZeroDivisionError as error:
        print("caught", error)
    loop.set_task_factory(None)
    print(asyncio.create_task(work(4)))
    await asyncio.sleep(0.01)


with asyncio.Runner() as runner:
    runner.get_loop().set_task_factory(factory)
    runner.run(main())
print(made)

if sys.version_info >= (3, 12):

    async def at_once(value):
        if value < 0:
            raise ValueError(value)
        return value

    async def suspends(value):
        print("begins", value, asyncio.current_task().get_name())
        await asyncio.sleep(0)
        print("goes on", value)
        return value

    async def nested():
        task = asyncio.create_task(at_once(7))
        print("nested", task.done(), asyncio.current_task().get_name())
        later = asyncio.create_task(suspends(8))
        print(later.done())
        return await task + await later

    async def eager():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        print(loop.get_task_factory())
        task = asyncio.create_task(at_once(1), name="at once")
        print(task, task.done(), task.result())
        failed = asyncio.create_task(at_once(-1))
        print(failed, failed.done())
        try:
            await failed
        except ValueError as error:
            print("caught", error)
        print(await asyncio.gather(nested(), suspends(2), at_once(3)))
        async with asyncio.TaskGroup() as group:
            group.create_task(suspends(4))
            group.create_task(at_once(5))
        forgotten = asyncio.create_task(at_once(-2))
        print(forgotten)
        del forgotten

    asyncio.run(eager())
    loop_of_own = asyncio.create_eager_task_factory(Special)

    async def special():
        asyncio.get_running_loop().set_task_factory(loop_of_own)
        print(asyncio.create_task(at_once(1)), await asyncio.create_task(suspends(2)))

    asyncio.run(special())
