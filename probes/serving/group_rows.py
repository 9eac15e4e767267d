"""Rows of groups for one viewer that wants them: once a second, those that changed since they were last sent."""

from __future__ import annotations

from time import monotonic
from types import CodeType
from typing import TYPE_CHECKING, Any

from ..hooks import install, reading
from ..hooks.groups import AGE, OTHERS, QUEUED, RAN, WAITED, GroupCounts, groups
from ..inspection import detail
from ..sampling.rows import microseconds

if TYPE_CHECKING:
    from ..hooks.records import TaskRecord
    from .host import Host

MOST_ROWS = 200
"""Most groups in one tick; the others come in the next."""
MOST_READ = 20_000
"""Live tasks whose labels are read in one second."""


class GroupRows:
    """What one viewer has received of the groups."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._due = 0.0
        self.every = 1.0  # seconds; the black box takes them less often, but for the first
        self._looks = 0
        self._sent: dict[int, tuple[int, ...]] = {}
        self._version = -1
        self._lines: dict[int, int] = {}  # by task: the line at which it was last seen waiting

    def rows(self, now: float, by_site: bool) -> dict[str, Any] | None:
        """The `groups` of a tick; None if it is not time yet. `by_site`: those of creation sites as well."""
        if now < self._due:
            return None
        self._due = now + min(self.every, 2.0 ** min(self._looks, 9))
        self._looks += 1
        if self._version != groups.version:
            self._version = groups.version
            self._sent.clear()
        live, oldest = self._look_at_live()
        of_sites = self._of_sites(live) if by_site else []
        changed = []
        for group in [*groups.by_number.values(), *of_sites]:
            shown = group.live + live.get(group.number, 0)
            state = (shown, group.ended, group.gone)
            if self._sent.get(group.number, (0, 0, 0)) != state or group.number in oldest:
                changed.append((self._sent.get(group.number) is not None, group, state))
        # Those that the viewer does not know first, and of these the ones that took the most time.
        changed.sort(key=lambda one: (one[0], 0.0 if one[0] else -one[1].sums[AGE]))
        sites = {group.number for group in of_sites}
        rows = []
        for number, (_, group, state) in enumerate(changed[:MOST_ROWS]):
            if number % 10 == 9:
                detail.yield_gil_if_due()
            self._sent[group.number] = state
            rows.append(self._row(group, state[0], oldest.get(group.number), group.number in sites))
        return {"since": self._host.clock.unix(groups.since), "rows": rows}

    def _of_sites(self, live: dict[int, int]) -> list[GroupCounts]:
        """The groups of creation sites. Their live tasks, which no hook counts, are added to `live`."""
        sampler = self._host.sampler
        counts: dict[int, int] = {}
        if len(sampler.by_id) <= MOST_READ:
            for record in install.walk(sampler.by_id):
                if not record.outcome:
                    if record.site not in counts:
                        groups.of_site(record.code, record.lasti)  # none of its tasks may have ended yet
                    counts[record.site] = counts.get(record.site, 0) + 1
        else:  # of those born since counting began
            counts = {site: known.born - known.ended for site, known in list(sampler.site_counts.items())}
        found = list(groups.by_site.values())
        for group in found:
            if not group.site and group.key is not None:
                group.site = sampler.tables.site(*group.key)
            if group.coro != OTHERS:
                live[group.number] = max(counts.get(group.site, 0), 0)
        return found

    def _look_at_live(self) -> tuple[dict[int, int], dict[int, TaskRecord]]:
        """By number of a group: how many live tasks count there by their label, and the oldest of each."""
        live: dict[int, int] = {}
        oldest: dict[int, TaskRecord] = {}
        for record in install.walk(self._host.sampler.by_id, MOST_READ):
            group = record.group
            if group is None or record.outcome:
                continue
            if record.label is not None or record.source is not None:
                label = self._host.labels.of(record)
                if label is not None and self._host.labels.counted_with(record) is None:
                    base, group = group, groups.of(group, label)
                    live[group.number] = live.get(group.number, 0) + 1
                    live[base.number] = live.get(base.number, 0) - 1
            if record.born is not None:
                known = oldest.get(group.number)
                if known is None or known.born is None or known.born > record.born:
                    oldest[group.number] = record
        return live, oldest

    def _row(self, group: GroupCounts, live: int, oldest: TaskRecord | None, by_site: bool) -> list[Any]:
        """The protocol.GROUP_ROW of a group."""
        tables = self._host.sampler.tables
        code = group.key
        site = tables.site(code, code.co_firstlineno) if isinstance(code, CodeType) else group.site
        slowest = [
            [task, microseconds(age), self._host.clock.unix(ended), outcome, self._lines.get(task, 0)]
            for task, age, ended, outcome in group.slowest()
        ]
        return [
            group.number,
            tables.string(group.coro[:300]),
            0 if group.label is None else tables.string(group.label),
            site,
            max(live, 0),
            group.ended,
            group.failed,
            group.cancelled,
            group.gone,
            [microseconds(seconds) for seconds in group.sums],
            *(group.histogram(which) for which in (AGE, RAN, QUEUED, WAITED)),
            slowest,
            None if oldest is None else self._oldest(oldest),
            group.responses,
            group.errors,
            int(by_site),
        ]

    def _oldest(self, record: TaskRecord) -> list[int] | None:
        wait = reading.read(record, detail.wait_row, record, self._host.sampler.tables)
        if wait is None or record.born is None:
            return None
        age, at = monotonic() - record.born, wait[3]
        if at and age >= 0.1:
            if len(self._lines) >= 1000:
                self._lines.clear()
            self._lines[record.id] = at
        return [record.id, microseconds(age), at]
