# ruff: noqa - a program to be watched: it blocks its loop at random, and tells when, for how long and how
import asyncio, concurrent.futures.thread, json, random, re, socket, sys, time  # to_thread would load it in the loop
from time import monotonic

number, seed, kind_of_loop = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rng = random.Random(seed)


def calibrated(work, start, target=0.1):
    """How much of some work takes a second, measured on a piece of it."""
    amount = start
    while True:
        began = monotonic()
        work(amount)
        took = monotonic() - began
        if took >= target:
            return amount / took
        amount *= 2


def sleeping(seconds):
    time.sleep(seconds)  # line sleeping


def spinning(seconds):
    end = monotonic() + seconds
    return sum(1 for _ in iter(lambda: monotonic() < end, False))  # line spinning


def looping(seconds):
    return max(n * n for n in range(int(seconds * loops_a_second)))  # line looping


def summing(seconds):
    return sum(range(int(seconds * sums_a_second)))  # line summing


def matching(seconds):
    return re.match(pattern, exploding)  # line matching


def dumping(seconds):
    return json.dumps(big[: int(seconds * items_a_second)])  # line dumping


def sorting(seconds):
    return sorted(mixed[: int(seconds * sorted_a_second)], key=lambda n: -n)  # line sorting


KINDS = [sleeping, spinning, looping, summing, matching, dumping, sorting]
truth = []


def block(function, seconds, how):
    began = monotonic()
    function(seconds)
    took = monotonic() - began
    truth.append({"kind": function.__name__, "took": took, "ended": time.time(), "how": how})
    done.set()


async def nested(depth, function, seconds):
    if depth > 1:
        await nested(depth - 1, function, seconds)
    else:
        await asyncio.sleep(0)
        block(function, seconds, "task")
        await asyncio.sleep(0)


async def harmless():
    queue = asyncio.Queue(2)

    async def consume():
        while await queue.get() is not None:
            pass

    task = asyncio.create_task(consume())
    for item in range(rng.randrange(5, 60)):
        await queue.put(item)
        if item % 7 == 0:
            await asyncio.sleep(rng.random() * 0.003)
    await queue.put(None)
    await task


class Blocks(asyncio.Protocol):
    def data_received(self, data):
        block(*self.next, "protocol")


async def main():
    global done
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    _, protocol = await loop.create_connection(Blocks, sock=ours)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    while sum(block["took"] >= 0.15 for block in truth) < number:
        await asyncio.gather(*(harmless() for _ in range(rng.randrange(1, 5))))
        function, seconds, done_by = rng.choice(KINDS), rng.uniform(0.18, 0.4), rng.randrange(5)
        done.clear()
        if done_by < 2:
            await asyncio.create_task(nested(rng.randrange(1, 6), function, seconds))
        elif done_by == 2:
            loop.call_soon(block, function, seconds, "call_soon")
        elif done_by == 3:
            loop.call_later(0.01, block, function, seconds, "call_later")
        else:
            protocol.next = function, seconds
            theirs.send(b"x")
        await done.wait()
    await asyncio.sleep(0.1)
    print(json.dumps(truth), flush=True)
    await asyncio.to_thread(sys.stdin.readline)


loops_a_second = calibrated(lambda n: max(n * n for n in range(n)), 100_000)
sums_a_second = calibrated(lambda n: sum(range(n)), 100_000)
big = [{"name": "x" * (n % 20), "value": n, "list": [n, None, 1.5]} for n in range(20_000)] * 20
items_a_second = calibrated(lambda n: json.dumps(big[:n]), 5_000)
mixed = [random.Random(1).random() for _ in range(1000)] * 2000
sorted_a_second = calibrated(lambda n: sorted(mixed[:n], key=lambda n: -n), 20_000)
pattern = re.compile("(a+)+$")
for length in range(15, 40):
    exploding = "a" * length + "b"
    began = monotonic()
    pattern.match(exploding)
    if monotonic() - began > 0.17:
        break

if kind_of_loop == "uvloop":
    import uvloop

    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())
else:
    asyncio.run(main())
