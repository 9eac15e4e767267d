"""A program with tasks, locks, failures and blocking calls, for the tests of its black box. Prints when it is ready."""

import asyncio
import os
import sys
import threading
import time


async def job() -> None:
    while True:
        await asyncio.sleep(0.02)


async def fails() -> None:
    raise ValueError("as planned")


def sampled() -> bool:
    """Whether the watchdog has looked at what blocks the loop: on a crowded machine it comes late."""
    return any(slow.samples for slow in sys._looptop_probe.watchdog.blocked(0.1))  # type: ignore[attr-defined]


async def two_ticks() -> None:
    """Until the box has two ticks, if there is one."""
    box, until = sys._looptop_probe.box, time.monotonic() + 60  # type: ignore[attr-defined]
    seen = {box._due}
    while len(seen) < 3 and box.on and time.monotonic() < until:
        await asyncio.sleep(0.05)
        seen.add(box._due)


async def main() -> None:
    how = sys.argv[1] if len(sys.argv) > 1 else "run"
    jobs = [asyncio.create_task(job(), name=f"job-{number}") for number in range(10)]
    if how == "run":  # it is killed, so nothing waits for the thread
        jobs.append(asyncio.create_task(asyncio.to_thread(time.sleep, 600), name="asker"))
    lock = asyncio.Lock()
    await lock.acquire()
    jobs.append(asyncio.create_task(lock.acquire(), name="waits"))
    failed = asyncio.create_task(fails(), name="fails")
    await asyncio.wait([failed])
    failed.exception()
    until = time.monotonic() + 60
    time.sleep(0.4)
    while not sampled() and time.monotonic() < until:
        time.sleep(0.1)
    print("ready", flush=True)
    if how == "block":
        await asyncio.sleep(0.5)
        print("blocking", flush=True)
        time.sleep(60)
    if how == "run":
        await asyncio.sleep(600)
    await two_ticks()
    await asyncio.sleep(0.3)
    if how == "told":
        os.chdir(os.path.dirname(os.__file__))
        sys.stdin.readline()
    if how in HOW:
        HOW[how]()


def fault() -> None:
    import faulthandler

    faulthandler._sigsegv()


def fail() -> None:
    raise RuntimeError("the end")


def replace() -> None:
    os.execv("/bin/sleep", ["sleep", "60"])


def close_everything() -> None:
    os.closerange(3, 1024)
    time.sleep(2.5)
    print("still here", flush=True)
    os._exit(0)


def use_up_memory() -> None:
    """As `ulimit -v` does, with some room left so that the interpreter itself can go on."""
    import resource

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20),) * 2)
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


def grow() -> None:
    """Until the OOM killer comes."""
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


def fork() -> None:
    """The child runs a loop and ends; the parent waits for it, and is killed."""
    child = os.fork()
    if not child:
        asyncio.events._set_running_loop(None)
        asyncio.run(asyncio.sleep(1.2))
        print("child ends", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print("parent goes on", flush=True)
    time.sleep(60)


def many_loops() -> None:
    """500 loops at once, each in its own thread, until the box has two ticks with them."""
    begin, ends = threading.Barrier(501), []

    async def runs() -> None:
        over = asyncio.Event()
        ends.append((asyncio.get_running_loop(), over.set))
        begin.wait()
        await over.wait()

    threading.stack_size(1 << 18)
    threads = [threading.Thread(target=asyncio.run, args=[runs()]) for _ in range(500)]
    for thread in threads:
        thread.start()
    begin.wait()
    print("500 loops", flush=True)
    asyncio.events._set_running_loop(None)
    asyncio.run(two_ticks())
    for loop, end in ends:
        loop.call_soon_threadsafe(end)
    for thread in threads:
        thread.join()
    print("done", flush=True)
    os._exit(4)


def block_twice() -> None:
    """Each time until its box has a tick, when none is due any more but for what the watchdog reports."""
    box = sys._looptop_probe.box  # type: ignore[attr-defined]
    sys.modules[type(box).__module__].EVERY = 1e6  # type: ignore[attr-defined]
    hurry, hurried = box.hurry, []
    feed, fed = box.feed, [0]

    def note() -> None:
        hurry()
        hurried.append(1)

    def write(now: float) -> None:
        number = len(hurried)
        feed(now)
        fed[0] = number  # what was reported before has been written

    box.hurry, box.feed = note, write

    async def block() -> None:
        before, until = len(hurried), time.monotonic() + 60
        while (fed[0] <= before or box._due < 1e6) and time.monotonic() < until:
            time.sleep(0.01)

    async def run() -> None:
        while box._due < 1e6:
            await asyncio.sleep(0.05)
        for _ in range(2):
            await asyncio.create_task(block())
            await asyncio.sleep(0.1)
        print(len(hurried), flush=True)
        os._exit(0)

    asyncio.events._set_running_loop(None)
    asyncio.run(run())


HOW = {
    "_exit": lambda: os._exit(3),
    "abort": os.abort,
    "fault": fault,
    "raise": fail,
    "exec": replace,
    "closes": close_everything,
    "memory": use_up_memory,
    "grow": grow,
    "fork": fork,
    "loops": many_loops,
    "blocks": block_twice,
}

if __name__ == "__main__":
    asyncio.run(main())
