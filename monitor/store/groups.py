"""Groups live tasks by creation site, with births and deaths of those too short-lived to be seen."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from probes.base import protocol

if TYPE_CHECKING:
    from monitor.store.model import Site, SiteStats, Task
    from monitor.store.store import Store

_STATE, _BORN, _BUSY, _SHARE, _STEPS = map(attrgetter, ("state", "born", "busy", "share", "steps"))


class Group(msgspec.Struct, frozen=True):
    """The live tasks of one creation site."""

    site: Site | None
    tasks: int
    waiting: int
    scheduled: int
    running: int
    busy: float  # of live and ended tasks since watching began
    share: float
    steps: int
    oldest: float | None
    stats: SiteStats | None


def groups(store: Store, tasks: list[Task] | None = None) -> list[Group]:
    """Group the live tasks, or the given ones, by creation site; births and deaths include short-lived ones."""
    store.measure_sites()
    by_site: dict[Site | None, list[Task]] = {}
    here: dict[int, list[Task]] = {}  # by identity: hashing a site is slow, and 100,000 tasks have few sites
    for task in store.tasks.values() if tasks is None else tasks:
        members = here.get(id(task.site))
        if members is None:
            members = here[id(task.site)] = by_site.setdefault(task.site, [])
        members.append(task)
    stats = {entry.site: entry for entry in store.sites.values()}
    if tasks is None:
        for site in stats:
            by_site.setdefault(site, [])
    return [_group(store, site, members, stats.get(site) if site else None) for site, members in by_site.items()]


def _group(store: Store, site: Site | None, members: list[Task], stats: SiteStats | None) -> Group:
    states = list(map(_STATE, members))
    births = [born for born in map(_BORN, members) if born is not None]
    return Group(
        site=site,
        tasks=len(members),
        waiting=states.count(protocol.WAITING),
        scheduled=states.count(protocol.SCHEDULED),
        running=states.count(protocol.RUNNING),
        busy=sum(map(_BUSY, members)) + (stats.busy if stats else 0.0),
        share=sum(map(_SHARE, members)),
        steps=sum(map(_STEPS, members)) + (stats.steps if stats else 0),
        oldest=max(store.now - min(births), 0.0) if births else None,
        stats=stats,
    )
