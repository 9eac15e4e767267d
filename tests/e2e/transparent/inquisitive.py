# ruff: noqa - programs to be watched, not to be liked
"""A program whose objects say so when they are looked at, and that looks around for whoever does.

Exceptions are not among them: the text of one that ends a task is taken when it ends.
"""

import asyncio
import faulthandler
import gc
import signal
import sys
import threading
import weakref


def tell(name):
    def method(self, *args):
        print("looked at:", name, type(self).__name__)
        return getattr(object, name)(self, *args)

    return method


SPECIAL = {name: tell(name) for name in ("__repr__", "__eq__", "__hash__", "__str__", "__format__", "__reduce_ex__")}


class Value:
    locals().update(SPECIAL)

    @property
    def name(self):
        print("property")

    def __len__(self):
        print("len")
        return 1

    def __bool__(self):
        print("bool")
        return True

    def __iter__(self):
        print("iter")
        return iter(())

    def __getattr__(self, name):
        print("attribute", name)
        raise AttributeError(name)


class Lock(asyncio.Lock):
    __repr__ = SPECIAL["__repr__"]


class Queue(asyncio.Queue):
    __repr__ = SPECIAL["__repr__"]

    def qsize(self):
        print("qsize")
        return super().qsize()


class Future(asyncio.Future):
    __repr__ = SPECIAL["__repr__"]


async def waits(value, how):
    kept = {"value": value, "more": [value]}
    try:
        await how()
    finally:
        del kept


async def fails():
    raise ValueError("in a task")


async def main():
    loop = asyncio.get_running_loop()
    lock, queue, event, future = Lock(), Queue(), asyncio.Event(), Future(loop=loop)
    await lock.acquire()
    value = Value()
    tasks = [
        asyncio.create_task(waits(value, lock.acquire)),
        asyncio.create_task(waits(value, queue.get)),
        asyncio.create_task(waits(value, event.wait)),
        asyncio.create_task(waits(value, lambda: future)),
        asyncio.create_task(waits(value, lambda: asyncio.sleep(9))),
        asyncio.Task(waits(value, event.wait), name="made by hand"),
    ]
    failed = asyncio.create_task(fails())
    await asyncio.wait([failed])
    await asyncio.sleep(1.3)  # whoever looks once a second has looked
    print(sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile(), gc.callbacks, gc.isenabled())
    print([thread.name for thread in threading.enumerate()], threading.active_count())
    print(sys.excepthook is sys.__excepthook__, sys.unraisablehook is sys.__unraisablehook__, faulthandler.is_enabled())
    print(
        [
            number.name
            for number in signal.valid_signals()
            if callable(signal.getsignal(number)) and number in list(signal.Signals)
        ]
    )
    print(
        signal.set_wakeup_fd(-1) >= -1, sys.getswitchinterval(), asyncio.all_tasks() == {*tasks, asyncio.current_task()}
    )
    print(tasks[0].get_name(), [task.get_coro().__name__ for task in tasks], weakref.getweakrefcount(value))
    event.set()
    for task in tasks:
        task.cancel()
    print(await asyncio.gather(*tasks, return_exceptions=True))
    print(failed.done(), type(failed.exception()).__name__)


asyncio.run(main())
