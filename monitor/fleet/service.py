"""The workers of a service: their stores and findings, and what is shown of all of them together."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.findings.rules.engine import Findings
from monitor.fleet.rows import ServiceRow, row_of
from monitor.protocol.frames import Hello
from monitor.store.across import OfWorker, process_text
from monitor.store.blocked import blocking_lines
from monitor.store.flame import Stacks
from monitor.store.label_groups import MergedGroup
from monitor.store.slow_log import BlockingLine
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.findings.model import Finding
    from monitor.findings.thresholds import Thresholds
    from monitor.fleet.base import AnyFleet, AnyWorker
    from monitor.fleet.fleet import Change
    from monitor.store.label_groups import LabelGroup
    from monitor.store.model import EndedTask, Site, Task
    from monitor.store.threads import Thread

MOST_APPLY_SECONDS = 0.05
"""Frames are applied for so long at a time; then the screen has its turn."""
MOST_GONE = 64
"""Workers that have gone whose samples for the flame graph are kept."""
READING = 0.1
"""Seconds per step spent on findings of earlier parts of recordings."""


class Service:
    """The workers of a set with their findings. `step` is called by one thread at a time."""

    def __init__(self, fleet: AnyFleet, thresholds: Thresholds, title: str = "") -> None:
        self._title = title
        self._fleet = fleet
        self._thresholds = thresholds
        self._findings: dict[int, tuple[AnyWorker, Findings]] = {}
        self._rows: dict[int, tuple[object, ServiceRow]] = {}  # by slot: what a row was made from, and the row
        self._gone: deque[Store] = deque(maxlen=MOST_GONE)  # with nothing but their samples
        self.behind = False  # whether the last step left frames for the next one

    @property
    def elsewhere(self) -> bool:
        """Whether some of the workers may be on other machines."""
        return self._fleet.elsewhere

    @property
    def owner(self) -> int | None:
        """The user id of the programs, if the kernel vouches for it, and it is the same of all."""
        owners = {worker.owner for worker in self._fleet.workers.values()}
        return owners.pop() if len(owners) == 1 else None

    @property
    def title(self) -> str:
        """The TARGETs as given, after the name if all workers share one."""
        names = {store.session.name for store in self.stores() if store.session is not None}
        name = names.pop() if len(names) == 1 else ""
        return self._title if self._title == f"@{name}" else " ".join(filter(None, (name, self._title)))

    def step(self) -> list[Change]:
        """Apply new frames for a while (`behind` says whether that was long enough); return who has joined and gone."""
        changes = self._fleet.step()
        self._keep_samples()
        until = time.monotonic() + MOST_APPLY_SECONDS
        self.behind = False
        updated = []
        for worker, came in self._fleet.take():
            for frame in came:
                session = worker.store.session
                if isinstance(frame, Hello) and session is not None and session.id != frame.session:
                    self._keep_samples_of(worker)  # it executes another program, say
                worker.store.apply(frame)
            if self._fleet.workers.get(worker.slot) is worker:
                updated.append(worker)
            if time.monotonic() >= until:
                self.behind = True
                break
        if self._fleet.recorded:  # the part before the moment that is shown may not have been read yet
            updated = list(self._fleet.workers.values())
        for worker in updated:
            worker.find(self._engine(worker), READING / len(updated))
        return [*changes, *self._fleet.changed()]

    def _keep_samples(self) -> None:
        """Keep the samples of workers that have gone, so that the flame graph of all does not shrink."""
        for slot, (worker, _) in list(self._findings.items()):
            if self._fleet.workers.get(slot) is not worker:
                del self._findings[slot]
                self._keep_samples_of(worker)

    def _keep_samples_of(self, worker: AnyWorker) -> None:
        if worker.store.flame.since is not None and not self._fleet.recorded:
            kept = Store()
            kept.worker, kept.session, kept.flame = worker.slot, worker.store.session, worker.store.flame
            self._gone.append(kept)

    def _engine(self, worker: AnyWorker) -> Findings:
        known = self._findings.get(worker.slot)
        if known is None or known[0] is not worker:
            known = self._findings[worker.slot] = worker, Findings(self._thresholds)
        return known[1]

    def rows(self) -> list[ServiceRow]:
        """Return a row for each worker, by slot. Only those are made anew of which something is."""
        found = []
        known, self._rows = self._rows, {}
        for slot, worker in sorted(self._fleet.workers.items()):
            engine = self._engine(worker)
            of = worker, worker.store.revision, engine.revision, worker.up, worker.problem, worker.entering
            before = known.get(slot)
            row = before[1] if before is not None and before[0] == of else row_of(worker, engine)
            self._rows[slot] = of, row
            found.append(row)
        return found

    def watch(self, **what: object) -> None:
        """Change what is asked of every worker, for what is shown."""
        self._fleet.watch(**what)

    def stores(self) -> list[Store]:
        """Return the stores of the workers that have answered, by slot."""
        workers = sorted(self._fleet.workers.items())
        return [worker.store for _, worker in workers if worker.store.session is not None]

    def tasks(self) -> list[OfWorker[Task]]:
        """Yield the live tasks of all workers."""
        return [OfWorker(store, task) for store in self.stores() for task in store.tasks.values()]

    def ended(self) -> list[OfWorker[EndedTask]]:
        """Yield the ended tasks of all workers."""
        return [OfWorker(store, task) for store in self.stores() for task in store.ended]

    def slow(self) -> list[OfWorker[BlockingLine]]:
        """Return the lines that blocked a loop.

        A line that blocked several workers is one row with a count for each.
        """
        lines: dict[Site | None, list[tuple[Store, BlockingLine]]] = {}
        for store in self.stores():
            for line in blocking_lines(store):
                lines.setdefault(line.line, []).append((store, line))
        return [_merged(found) for found in lines.values()]

    def groups(self, worker: int | None = None) -> list[OfWorker[LabelGroup]]:
        """Return the groups of all workers, each coroutine and label once, or those of one worker."""
        return [_merged_group(found) for found in self._groups(worker).values()]

    def parts_of_group(self, coro: str, label: str | None, worker: int | None = None) -> list[tuple[Store, LabelGroup]]:
        """Return one group of each worker that has it, or of one worker."""
        return self._groups(worker).get((coro, label), [])

    def _groups(self, worker: int | None) -> dict[tuple[str, str | None], list[tuple[Store, LabelGroup]]]:
        same: dict[tuple[str, str | None], list[tuple[Store, LabelGroup]]] = {}
        for store in self.stores():
            if worker is None or store.worker == worker:
                for group in store.label_groups.values():
                    if group.started:
                        same.setdefault((group.coro, group.label), []).append((store, group))
        return same

    def threads(self) -> list[OfWorker[Thread]]:
        """Return the threads of all workers, at the newest look at each."""
        return [OfWorker(store, thread) for store in self.stores() for thread in store.threads.rows]

    def flame(self, worker: int | None = None) -> MergedFlame:
        """Return the samples of all workers, also of some that have gone; or those of one slot."""
        stores = (*self.stores(), *self._gone)
        return MergedFlame(tuple(store for store in stores if worker in (None, store.worker)))

    def findings(self) -> list[OfWorker[Finding]]:
        """Return the findings of all workers, the worst of each worker first."""
        return [
            OfWorker(worker.store, finding)
            for _, worker in sorted(self._fleet.workers.items())
            for finding in self._engine(worker).shown()
        ]

    def target(self, slot: int) -> str | None:
        """Return the TARGET of the process in a slot."""
        worker = self._fleet.workers.get(slot)
        return None if worker is None else worker.member.target

    def beside(self, slot: int, step: int) -> int | None:
        """Return the next slot with a process, or the previous one; None if there is none."""
        slots = sorted(self._fleet.workers)
        if not slots:
            return None
        if slot not in slots:
            return slots[0]
        return slots[(slots.index(slot) + step) % len(slots)]

    def close(self) -> None:
        """Close the connections to all workers."""
        self._fleet.close()


@dataclass(frozen=True, slots=True)
class MergedFlame:
    """The samples for flame graphs of several workers."""

    stores: tuple[Store, ...]

    def samples(self, kind: str) -> int:
        """The number of samples that found a stack of a kind."""
        return sum(store.flame.samples.get(kind, 0) for store in self.stores)

    @property
    def idle(self) -> float:
        """Seconds in which loops ran no callback, of all together."""
        return sum(store.flame.idle for store in self.stores)

    @property
    def why_not(self) -> str:
        """Why loops cannot be sampled; empty if they can in some."""
        reasons = [store.flame.why_not for store in self.stores if store.flame.since is not None]
        return reasons[0] if reasons and all(reasons) else ""

    @property
    def revision(self) -> tuple[int, ...]:
        """Another one if there are new samples."""
        flames = [store.flame for store in self.stores]
        return tuple(one.on_loop.revision + one.waiting.revision + one.jobs.revision for one in flames)

    def stacks(self, kind: str) -> Stacks:
        """The stacks of all, each with its process; tasks of different processes are never the same."""
        return Stacks.of(
            (whose._replace(process=process_text(store), task=0), stack, seconds)
            for store in self.stores
            for whose, stack, seconds in store.flame.of(kind)
        )


def _merged(found: list[tuple[Store, BlockingLine]]) -> OfWorker[BlockingLine]:
    store, newest = max(found, key=lambda pair: (pair[1].now is not None, pair[1].last))
    whole = BlockingLine(newest.line, now=newest.now)
    for _, line in found:
        whole.count += line.count
        whole.total += line.total
        whole.gil += line.gil
        whole.worst = max(whole.worst, line.worst)
        whole.last = max(whole.last, line.last)
    whole.callbacks.extend(newest.callbacks)
    return OfWorker(store, whole, _counts((one.worker, line.count + (line.now is not None)) for one, line in found))


def _merged_group(found: list[tuple[Store, LabelGroup]]) -> OfWorker[LabelGroup]:
    store, group = max(found, key=lambda pair: pair[1].started)
    if len(found) == 1:
        return OfWorker(store, group)
    whole = MergedGroup.of([(group, store.now) for store, group in found])
    return OfWorker(store, whole, _counts((one.worker, group.started) for one, group in found))


def _counts(found: Iterable[tuple[int | None, int]]) -> str:
    """How often in which worker, most often first: a narrow column shows only the first ones."""
    most_first = sorted(found, key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{worker}: {fmt.count(number)}" for worker, number in most_first)
