"""A scripted program: all kinds of frames of a small service, by a seed, with what a live store was at each tick."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fake_probe
import msgspec

from monitor.protocol import frames, keyframes
from monitor.recording.triggers import Triggers
from monitor.recording.writer import File, Recorder, Sink
from monitor.store.store import Store

NOW = fake_probe.NOW
STRINGS = ["", "/srv/app.py", "main", "worker", "/srv/db.py", "query", "parse"]
SITES = [[0, 0, 0], [1, 10, 2], [1, 42, 3], [1, 43, 3], [4, 115, 5], [4, 7, 6], [1, 0, 0], [4, 0, 0]]


def frame(**said: Any) -> frames.Frame:
    """A frame as it comes from the wire."""
    found = frames.decode(msgspec.json.encode(said))
    assert found is not None
    return found


@dataclass
class Script:
    """`tick()` yields the frames of the next tick. Half a second each."""

    seed: int = 1
    tasks: int = 30
    step: float = 0.5
    slow: float = 0.05  # chances of a tick
    failures: float = 0.1
    memory: bool = False
    at: int = NOW
    seq: int = 0
    _next: int = 1
    _rows: dict[int, list[Any]] = field(default_factory=dict)
    _site_of: dict[int, int] = field(default_factory=dict)
    _sites: dict[int, list[int]] = field(default_factory=dict)
    _busy: int = 0
    _steps: int = 0
    _past: dict[int, tuple[int, list[int]]] = field(default_factory=dict)  # by step (s): start, values

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def hello(self, **changes: Any) -> frames.Frame:
        return frame(**fake_probe.hello(now=self.at, **changes))

    def start(self) -> list[frames.Frame]:
        """Hello, facts, and the first tasks in two pieces."""
        tables = frame(
            type="static",
            strings={"from": 0, "items": STRINGS},
            sites={"from": 0, "items": SITES},
            loops=[[1, "asyncio", 7, "MainThread"], [2, "uvloop", 8, "other"]],
        )
        born = [self._birth() for _ in range(self.tasks)]
        first = frame(type="tick", at=self.at, left=len(born), tasks=list(self._rows.values())[:3])
        return [self.hello(), tables, frame(type="static", tasks=born), first, *self.tick()]

    def _birth(self) -> list[Any]:
        number, self._next = self._next, self._next + 1
        site = self.random.choice([1, 2, 3])
        self._rows[number] = [number, 2, 0, 0, self.random.choice([0, None]), 0]
        self._site_of[number] = site
        stats = self._sites.setdefault(site, [site, 0, 0, 0, 0, 0, 0])
        stats[1] += 1
        old = self.random.random() < 0.1
        parent = self.random.choice([0, max(number - 1, 0)])
        return [
            number,
            self.random.choice([f"worker-{number}", "[/x]", "é\u202e"]),
            self.random.choice([2, 3]),
            self.random.choice([1, 1, 2]),
            None if old else self.at - self.random.randrange(2_000_000),
            self.at if old else None,
            parent,
            site,
            1 if old else 0,
        ]

    def _end(self, number: int) -> frames.Frame:
        row = self._rows.pop(number)
        site = self._sites[self._site_of.pop(number)]
        outcome = "failed" if self.random.random() < self.failures else self.random.choice(["done", "cancelled"])
        site[2] += 1
        site[3] += outcome == "failed"
        site[4] += outcome == "cancelled"
        site[5] += row[3]
        site[6] += row[2]
        failure = {"type": "KeyError", "message": "'x'", "traceback": [2, 4]} if outcome == "failed" else None
        return self.event(
            "task_ended",
            task=number,
            name=f"worker-{number}",
            coro="worker",
            outcome=outcome,
            exception=failure,
            age=1000,
            busy=row[3],
            steps=row[2],
            max_step=row[5],
            site=site[0],
            parent=0,
        )

    def event(self, kind: str, **more: Any) -> frames.Frame:
        self.seq += 1
        return frame(type="event", seq=self.seq, at=self.at - 1000, kind=kind, loop=1, **more)

    def slow_callback(self, duration: int, **more: Any) -> frames.Frame:
        stack, blame = self.random.choice([([2, 4], 0), ([3, 4, 5], 1), ([], -1)])
        return self.event(
            "slow_callback", duration=duration, task=1, name="w", callback="w", stack=stack, blame=blame, **more
        )

    def tick(self) -> Iterator[frames.Frame]:
        """What comes in half a second."""
        chance, self.at = self.random.random, self.at + round(self.step * 1e6)
        changed = [number for number in self._rows if chance() < 0.3]
        for number in changed:
            row, busy = self._rows[number], self.random.randrange(20_000)
            row[1] = self.random.choice([0, 1, 2, 2, 2])
            row[2] += self.random.randrange(1, 9)
            row[3] += busy
            row[4] = None if row[4] is None else row[4] + self.random.randrange(100)
            row[5] = max(row[5], busy)
            self._busy += busy
            self._steps += 3
        born = [self._birth() for _ in range(self.random.randrange(4))]
        if chance() < 0.1 and self._rows:  # a task is renamed
            number = self.random.choice(list(self._rows))
            born.append([number, f"renamed-{self.at}", 2, 1, self.at, None, 0, self._site_of[number], 0])
        if born:
            yield frame(type="static", tasks=born)
        rows = [self._rows[number] for number in changed]
        pieces: list[frames.Frame] = []
        if chance() < 0.2:
            pieces.append(frame(type="tick", at=self.at + 10, tasks=rows[5:], left=0))
            rows = rows[:5]
        gone = [number for number in self._rows if chance() < 0.003]
        for number in gone:
            del self._rows[number], self._site_of[number]
        ends = [number for number in self._rows if chance() < 0.03]
        told = self._happens()
        told += [self._end(number) for number in ends]
        detail = None
        if self._rows and chance() < 0.3:
            detail = {
                "id": self.random.choice(list(self._rows)),
                "await_stack": [2, 4],
                "await_tasks": [[1, 0]],
                "waiting_on": {"kind": "sleep", "repr": "sleep 1 s", "wakes_at": self.at + 5},
                "awaited_by": [1],
                "origin": [2, 1],
                "histogram": {"steps": [0] * 32, "schedules": [1] * 32},
            }
        waits = [[number, *self.random.choice([["lock", "lock A"], [None, None]])] for number in list(self._rows)[:5]]
        loops = [
            [1, self.random.randrange(9000), self._busy, 3, 4, self._steps, None, self.random.choice([0, 0, 200_000])],
            [2, self.random.randrange(9000), self._busy // 2, None, None, self._steps // 2, None, 0],
        ]
        process = {"rss": 50_000_000 + self.random.randrange(1 << 20), "cpu": self._busy, "threads": 4, "fds": 9}
        probe = {"cpu": self._busy // 50, "hooks": 5, "viewers": 1, "tasks": len(self._rows), "dropped": 0, "off": []}
        more: dict[str, Any] = {}
        if chance() < 0.3:
            locks = [[3, 2, 1, 4, [[2, 5], [3, 0]]]]
            more["sync_scan"] = {"locks": locks, "queues": [[1, "jobs", 2, self.random.randrange(99), 0, 1, 0]]}
        if chance() < 0.3:
            age = [90, 3, 200, self.random.randrange(1, 9)]
            slowest = [[7, 5000, self.at - 9, 3, 2], [8, 9000, self.at - 9, 5, 4]]
            row = [1, 3, 2, 1, 4, self._steps, 1, 0, 0, [9, 8, 7, 6], age, [], age, age]
            more["groups"] = {"since": NOW - 5, "rows": [[*row, slowest, [3, 77, 5]]]}
        if self.memory:
            more["memory"] = {"usage": {"rss": process["rss"], "fds": {"socket": 2}, "threads": 4}}
        yield frame(
            type="tick",
            at=self.at,
            tasks=rows,
            gone=gone,
            loops=loops,
            blocked=[[1, chance() < 0.5, 7, [2, 4], 0]] if loops[0][-1] else [],
            sites=[list(stats) for stats in self._sites.values() if chance() < 0.5],
            waits=waits,
            detail=detail,
            process=process,
            probe=probe,
            left=0,
            **more,
        )
        yield from self._history(again=chance() < 0.01)
        yield from pieces
        yield from told
        if self.memory and chance() < 0.2:
            yield self._looked()

    def _history(self, again: bool) -> Iterator[frames.Frame]:
        """The rows that are due: at first, and `again` for a new connection, all of them."""
        for step, most in ((1, 600), (10, 2160)):
            first = step not in self._past
            start, values = self._past.get(step, (NOW - 300 * step * 1_000_000, [7] * 300))
            known = 0 if again or first else len(values)
            due = (self.at - start) // (step * 1_000_000)
            values = values + [self.random.randrange(-1, 99) for _ in range(due - len(values))]
            self._past[step] = start, values
            known = max(known, len(values) - most)
            if values[known:]:
                for loop, name in ((0, "births"), (1, "lag")):
                    yield frame(
                        type="history",
                        loop=loop,
                        step=step * 1_000_000,
                        **{"from": start + known * step * 1_000_000},
                        columns={name: values[known:], "rss": values[known:]},
                    )

    def _looked(self) -> frames.Frame:
        """A reply of somebody who looks at memory while it is recorded."""
        chosen = self.random
        kind = chosen.choice(["baseline", "lineno", "lineno", "filename", "objects", "profiles"])
        if kind == "objects":
            rows = [["dict", chosen.randrange(9000), 5], ["Task", chosen.randrange(90), -1]]
            said = {"at": self.at, "objects": 9000, "types": 2, "pause": 900, "took": 1000, "rows": rows}
            return frame(type="reply", id=3, ok=True, objects=said)
        if kind == "profiles":
            call = [self.at, 900, 30, 2, None, "done", []]
            said = {"function": "f", "module": "app", "site": 2, "shape": "function", "kind": "time", "calls": 3}
            return frame(type="reply", id=4, ok=True, profiles=[{**said, "recent": [call]}])
        rows = [
            [[site], chosen.randrange(1 << 20), chosen.randrange(1 << 16), 9, 1]
            for site in ((6, 7) if kind == "filename" else (2, 4, 5))
        ]
        look = {"at": self.at, "blocks": 9, "groups": 3, "pause": 500, "took": 900, "traced": 1 << 20, "peak": 1 << 21}
        what = {
            "overhead": 99,
            "group": "lineno" if kind == "baseline" else kind,
            "rows": None if kind == "baseline" else rows,
        }
        return frame(
            type="reply", id=5, ok=True, memory={**look, **what, "against": "baseline", "against_at": self.at - 9}
        )

    def _happens(self) -> list[frames.Frame]:
        """Events, which come after the rows of their tick."""
        chance, told = self.random.random, []
        if chance() < self.slow:
            told.append(self.slow_callback(self.random.randrange(100_000, 450_000)))
        if chance() < 0.02:
            failure = {"type": "E", "message": "m"}
            told.append(self.event("unhandled", message="never retrieved", exception=failure, task=1, name="w"))
        if chance() < 0.02:
            told.append(self.event("notice", text="hook off"))
        if chance() < 0.02:
            self.seq += 3  # some events never came
        return told


@dataclass
class Recorded:
    """A recording, and what the live store was at each tick: (time, keyframe with all of its history)."""

    path: Path
    moments: list[tuple[int, keyframes.Keyframe]]
    recorder: Recorder
    store: Store


def record(
    path: Path,
    ticks: int = 120,
    script: Script | None = None,
    sink: Sink | None = None,
    finish: bool = True,
    moments: bool = True,
    triggers: Triggers | None = None,
    segment: float | None = None,
    remembers: bool = False,
) -> Recorded:
    """Records a script to a file, as a recorder does: the store first."""
    script = Script() if script is None else script
    store = Store()
    recorder = Recorder(store, sink or File(path, rate=2.0), triggers=triggers, segment=segment)
    seen: list[tuple[int, keyframes.Keyframe]] = []

    def take(came: Any) -> None:
        for one in came:
            store.apply(one)
            recorder.take(one)

    begin, *rest = script.start()
    take([script.hello(capabilities=["history"]) if remembers else begin, *rest])
    for _ in range(ticks):
        take(script.tick())
        if moments:
            seen.append((script.at, store.keyframe(history=True)))
        wait_for_writer(recorder)
    if finish:
        recorder.close()
    return Recorded(path, seen, recorder, store)


def wait_for_writer(recorder: Recorder) -> None:
    """Ticks of a script come faster than any disk is: nothing is to be dropped for that."""
    while recorder._queue.qsize() > 1 and recorder.problem is None:
        recorder._thread.join(0.001)
