# ruff: noqa - programs to be watched, not to be liked
import asyncio
import selectors
import threading


class OwnLoop(asyncio.SelectorEventLoop):
    calls = 0

    def call_soon(self, callback, *args, context=None):
        OwnLoop.calls += 1
        return super().call_soon(callback, *args, context=context)

    def create_task(self, coro, **kwargs):
        task = super().create_task(coro, **kwargs)
        task.set_name(f"own {task.get_name()}")
        return task


class Virtual(asyncio.SelectorEventLoop):
    """Time passes only when nothing is left to do."""

    def __init__(self):
        super().__init__(selectors.SelectSelector())
        self.clock = 0.0

    def time(self):
        return self.clock

    def _run_once(self):
        if not self._ready and self._scheduled:
            self.clock = max(self.clock, self._scheduled[0]._when)
        super()._run_once()


class Bare(asyncio.AbstractEventLoop):
    """A loop of somebody's own with no more than it needs."""

    def __init__(self):
        self.ready = []
        self.running = False

    def get_debug(self):
        return False

    def is_running(self):
        return self.running

    def is_closed(self):
        return False

    def call_soon(self, callback, *args, context=None):
        handle = asyncio.Handle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None):
        return asyncio.Task(coro, loop=self, name=name)

    def call_exception_handler(self, context):
        print("handler", sorted(context), context.get("message"))

    def run(self, coro):
        task = self.create_task(coro)
        asyncio._set_running_loop(self)
        self.running = True
        try:
            while self.ready:
                self.ready.pop(0)._run()
        finally:
            self.running = False
            asyncio._set_running_loop(None)
        return task.result()


async def work(value):
    await asyncio.sleep(0)
    return value, asyncio.current_task().get_name()


async def main():
    print(await asyncio.create_task(work(1)), await asyncio.create_task(work(2), name="mine"))
    await asyncio.sleep(0)
    return asyncio.get_running_loop().__class__.__name__


async def virtual():
    await asyncio.sleep(3600)
    return await asyncio.gather(work(1), asyncio.sleep(7200, "slept"))


with asyncio.Runner(loop_factory=OwnLoop) as runner:
    print(runner.run(main()))
print(OwnLoop.calls > 0)
with asyncio.Runner(loop_factory=Virtual) as runner:
    print(runner.run(virtual()), runner.get_loop().time() >= 10800)
print(Bare().run(main()))


async def bare_fails():
    asyncio.get_running_loop().call_soon(print, 1, 2)
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "ended"


print(Bare().run(bare_fails()))
results = []
threads = [threading.Thread(target=lambda: results.append(asyncio.run(work(5)))) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(value for value, _ in results))
loop = asyncio.new_event_loop()
for _ in range(3):
    print(loop.run_until_complete(work(6)), loop.is_running())
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
print(loop)


class Odd:
    """A callback that must not be asked for anything but to be called."""

    def __getattr__(self, name):
        raise RuntimeError(f"nobody may ask for {name}")

    def __call__(self):
        print("odd")


async def odd():
    asyncio.get_running_loop().call_soon(Odd())
    asyncio.get_running_loop().call_later(0.001, Odd())
    await asyncio.sleep(0.01)


asyncio.run(odd())


def not_tasks(loop, coro, **kwargs):
    """A factory that returns what is only a future."""
    task = asyncio.Task(coro, loop=loop, **kwargs)
    future = loop.create_future()
    task.add_done_callback(lambda task: future.set_result(task.result()))
    return future


async def with_futures():
    asyncio.get_running_loop().set_task_factory(not_tasks)
    made = asyncio.get_running_loop().create_task(work(7))
    print(made, (await made)[0])


asyncio.run(with_futures())
