"""Each rule of the static analysis: lines that it is for, marked, and lines beside them that are right."""

import re
import textwrap

import pytest

from monitor.check.analysis import check_source
from monitor.check.rules import RULES

MARK = re.compile(r"#:\s*(LT\d\d(?:\s+LT\d\d)*)")


def marked(text):
    return [(n, code) for n, line in enumerate(text.split("\n"), 1) for m in MARK.findall(line) for code in m.split()]


def seen(text):
    return sorted((one.line, one.code) for one in check_source(text.encode(), "x.py"))


CASES = {
    "old decorators": """
        import asyncio as aio, types
        from asyncio import coroutine
        @aio.coroutine  #: LT01
        def a():
            yield from aio.sleep(1)
        @coroutine  #: LT01
        def b():
            yield
        @types.coroutine  #: LT02
        def c():
            yield
        async def work(): ...
        def d():
            yield from work()  #: LT02
            yield from range(3)
        class asyncio2:
            coroutine = staticmethod
        @asyncio2.coroutine
        def e(): ...
    """,
    "loop arguments": """
        import asyncio
        from asyncio import Lock, queues
        async def f(loop):
            await asyncio.sleep(1, loop=loop)  #: LT03
            Lock(loop=loop)  #: LT03
            asyncio.Queue(
                loop=loop)  #: LT03
            asyncio.Future(loop=loop)
            y = asyncio.ensure_future(x, loop=loop)
            print(y)
            asyncio.run_coroutine_threadsafe(x, loop=loop)
            await asyncio.to_thread(x, loop=loop)
            other.sleep(1, loop=loop)
    """,
    "ensure_future": """
        import asyncio
        async def work(): ...
        class Client:
            async def get(self): ...
            def both(self, thing):
                a = asyncio.ensure_future(work())  #: LT04
                b = asyncio.ensure_future(self.get())  #: LT04
                c = asyncio.ensure_future(thing)
                d = asyncio.ensure_future(thing())
                return a, b, c, d
    """,
    "get_event_loop": """
        import asyncio
        loop = asyncio.get_event_loop()  #: LT05
        def sync():
            return asyncio.get_event_loop()  #: LT05
        async def inside():
            loop = asyncio.get_event_loop()
            return loop, asyncio.get_running_loop()
        class K:
            loop = asyncio.get_event_loop()  #: LT05
    """,
    "wait on coroutines": """
        import asyncio
        async def work(n): ...
        async def main(futures):
            await asyncio.wait([work(1), work(2)])  #: LT06
            await asyncio.wait({work(n) for n in range(3)})  #: LT06
            jobs = [work(n) for n in range(3)]  #: LT06
            await asyncio.wait(jobs)
            jobs = [asyncio.create_task(work(n)) for n in range(3)]
            await asyncio.wait(jobs)
            await asyncio.wait(futures)
            await asyncio.gather(work(1), work(2))
    """,
    "methods of Task": """
        import asyncio
        from asyncio import Task
        from asyncio.tasks import Task as T
        Task.all_tasks()  #: LT07
        asyncio.Task.current_task(loop=None)  #: LT07
        T.all_tasks()  #: LT07
        asyncio.all_tasks()
    """,
    "wrappers and async": """
        import asyncio, sys
        sys.set_coroutine_wrapper(None)  #: LT08
        sys.set_coroutine_origin_tracking_depth(1)
        def f():
            return asyncio.async(work())  #: LT09
        g = getattr(asyncio, "async")  #: LT09
        async def h():
            async with x: ...
    """,
    "tasks that nobody keeps": """
        import asyncio
        async def work(): ...
        async def main(self, group):
            asyncio.create_task(work())  #: LT10
            asyncio.ensure_future(later)  #: LT10
            loop = asyncio.get_running_loop()
            loop.create_task(work())  #: LT10
            asyncio.get_running_loop().create_task(work())  #: LT10
            self.loop.create_task(work())  #: LT10
            mine = asyncio.get_running_loop()
            mine.create_task(work())  #: LT10
            unused = asyncio.create_task(work())  #: LT10
            task = asyncio.create_task(work())
            self.task = asyncio.create_task(work())
            tasks.add(asyncio.create_task(work()))
            await asyncio.create_task(work())
            group.create_task(work())
            async with asyncio.TaskGroup() as loop2:
                loop2.create_task(work())
            asyncio.create_task(work()).add_done_callback(print)
            def read():
                return task
        module_task = asyncio.create_task(work())
    """,
    "coroutines that nobody awaits": """
        import asyncio, functools
        from asyncio import sleep as nap
        async def work(): ...
        async def agen():
            yield 1
        @functools.cache
        async def decorated(): ...
        class A:
            async def get(self): ...
            @staticmethod
            async def make(): ...
            def sync(self): ...
            async def go(self):
                work()  #: LT11
                agen()  #: LT11
                nap(1)  #: LT11
                asyncio.sleep(1)  #: LT11
                self.get()  #: LT11
                self.make()  #: LT11
                if self.get(): ...  #: LT11
                if not work() or x: ...  #: LT11
                unused = work()  #: LT11
                for x in work(): ...  #: LT11
                self.sync()
                decorated()
                kept = work()
                await kept
                await self.get()
                asyncio.run(work())
                return work()
        def shadow(work):
            work()
        def rebound():
            work = print
            work()
        class B(A):
            def get(self): ...
            def use(self):
                self.get()
        async def made(given: A, other, either: A):
            a = A()
            a.get()  #: LT11
            a.sync()
            given.get()  #: LT11
            other.get()
            either.get()
            either = other
            for b in [A()]:
                b.get()
            c = B()
            c.get()
    """,
}


@pytest.mark.parametrize("name", CASES)
def test_finds_what_is_marked_and_nothing_else(name):
    text = textwrap.dedent(CASES[name])
    assert seen(text) == marked(text)


UPDATES = {
    "the old value is read first": """
        async def f(self):
            self.total += await g()  #: LT12
            self.total = self.total + await g()  #: LT12
            self.total = await g() + self.total
            self.count += 1
            d = await g()
            self.total += d
    """,
    "a local name carries it over": """
        async def f(self):
            value = self.x
            await g()
            self.x = value + 1  #: LT12
            value = self.y
            more = value + 1
            await g()
            self.y = more  #: LT12
            value = self.z
            await g()
            value = self.z
            self.z = value + 1
            old = self.w
            await g()
            self.w = 3
            a = self.v
            self.v = a + 1
            await g()
    """,
    "check, then act": """
        cache = {}
        async def f(self, key):
            if self.x is None:
                self.x = await g()  #: LT12
            if key not in self.cache:
                value = await g()
                self.cache[key] = value  #: LT12
            if key in self.jobs:
                await g()
                self.jobs.pop(key)  #: LT12
            if key in self.jobs:
                await g()
                del self.jobs[key]  #: LT12
            if key in self.jobs:
                self.jobs.pop(key)
                await g()
            if key not in self.cache:
                self.cache[other] = await g()
            if key not in cache:
                cache[key] = await g()  #: LT12
            if not self.opened:
                await g()
                self.opened = True
    """,
    "return early": """
        async def f(self, key):
            if key in self.cache:
                return self.cache[key]
            value = await g(key)
            self.cache[key] = value  #: LT12
        async def h(self, key):
            found = self.cache.get(key)
            if found is None:
                found = self.cache[key] = await g(key)  #: LT12
            return found
        async def looked_again(self, key):
            if key in self.cache:
                return self.cache[key]
            value = await g(key)
            if key not in self.cache:
                self.cache[key] = value
    """,
    "under a lock": """
        import asyncio
        class A:
            def __init__(self):
                self.lock = asyncio.Lock()
                self.turn = asyncio.Lock()
                self.one = asyncio.Semaphore(1)
                self.some = asyncio.Semaphore(5)
            async def f(self):
                async with self.lock:
                    self.total += await g()
                async with self.turn:
                    self.total += await g()
                async with self.one:
                    self.total += await g()
                async with self.some:
                    self.total += await g()  #: LT12
                async with connect() as c:
                    self.total += await g()  #: LT12
                await self.lock.acquire()
                try:
                    self.total += await g()
                finally:
                    self.lock.release()
                self.total += await g()  #: LT12
            async def twice_checked(self):
                if self.x is None:
                    async with self.lock:
                        if self.x is None:
                            self.x = await g()
            async def lock_too_small(self):
                async with self.lock:
                    value = self.total
                value = await g(value)
                async with self.lock:
                    self.total = value  #: LT12
    """,
    "loops and branches": """
        async def f(self, items):
            value = self.x
            for item in items:
                self.x = value  #: LT12
                await g()
            while self.busy:
                await g()
            self.busy = 1
            value = self.y
            try:
                await g()
            except OSError:
                pass
            self.y = value  #: LT12
            value = self.z
            if items:
                await g()
            self.z = value  #: LT12
            value = self.w
            async for item in items:
                pass
            self.w = value  #: LT12
            value = self.v
            values = [i async for i in items]
            self.v = value  #: LT12
            match items:
                case []:
                    value = self.u
                    await g()
                    self.u = value  #: LT12
    """,
    "compare and swap": """
        async def f(self):
            value = self.x
            new = await g(value)
            if self.x is value:
                self.x = new
            new = [value]
            await g()
    """,
    "what is put back at the end": """
        async def f(self):
            before = self.shield
            self.shield = True
            try:
                await g()
            finally:
                self.shield = before
        async def h(self):
            before = self.n
            try:
                await g()
            finally:
                self.n = before + 1  #: LT12
    """,
    "one's own is taken out": """
        async def f(self):
            if not self.waiters and self.free:
                return
            item = Item()
            self.waiters.append(item)
            try:
                await item
            finally:
                self.waiters.remove(item)
        async def h(self, item):
            if item in self.waiters:
                await g()
                self.waiters.remove(item)  #: LT12
    """,
    "what is not shared": """
        count = 0
        async def f(items):
            total = 0
            for item in items:
                total += await g(item)
            box = Box()
            box.n += await g(1)
            return total
        async def given(account, other):
            money = account.money
            await g()
            account.money = money + 1  #: LT12
            other = Account()
            other.money += await g()
        async def h():
            global count
            count += await g(1)  #: LT12
        def outer():
            n = 0
            async def inner():
                nonlocal n
                n += await g(1)  #: LT12
            return inner
        def sync(self):
            self.x = self.x + 1
    """,
}


@pytest.mark.parametrize("name", UPDATES)
def test_lost_updates(name):
    text = textwrap.dedent(UPDATES[name])
    assert seen(text) == marked(text)


def test_every_rule_has_a_line_in_these_tests():
    everywhere = {code for text in (*CASES.values(), *UPDATES.values()) for _, code in marked(text)}
    assert everywhere == set(RULES) - {"LT00"}


def test_the_replacement_is_that_of_the_python_asked_for():
    rule = RULES["LT04"]
    assert "loop.create_task" in rule.fix((3, 6))
    assert rule.fix((3, 12)) == "asyncio.create_task(…)"
    assert "TaskGroup" in RULES["LT10"].fix((3, 11))
    assert "TaskGroup" not in RULES["LT10"].fix((3, 10))
    assert RULES["LT03"].level((3, 9)) == "warning"
    assert RULES["LT03"].level((3, 10)) == "error"
