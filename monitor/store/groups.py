"""Live tasks by creation site, with the births and deaths of those that live too briefly to be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.store.model import Site, SiteStats, Task
    from monitor.store.store import Store


@dataclass(frozen=True, slots=True)
class Group:
    """The live tasks of one creation site together."""

    site: Site | None
    tasks: int
    waiting: int
    scheduled: int
    running: int
    busy: float  # of live and ended tasks, since watching began
    share: float
    steps: int
    oldest: float | None
    stats: SiteStats | None


def groups(store: Store, tasks: list[Task] | None = None) -> list[Group]:
    """The live tasks (or the given ones) by creation site, with births and deaths of short-lived ones."""
    store.measure_sites()
    by_site: dict[Site | None, list[Task]] = {}
    for task in store.tasks.values() if tasks is None else tasks:
        by_site.setdefault(task.site, []).append(task)
    stats = {entry.site: entry for entry in store.sites.values()}
    if tasks is None:
        for site in stats:
            by_site.setdefault(site, [])
    return [_group(store, site, members, stats.get(site) if site else None) for site, members in by_site.items()]


def _group(store: Store, site: Site | None, members: list[Task], stats: SiteStats | None) -> Group:
    states = [task.state_name for task in members]
    ages = [age for age in (task.age(store.now) for task in members) if age is not None]
    return Group(
        site=site,
        tasks=len(members),
        waiting=states.count("waiting"),
        scheduled=states.count("scheduled"),
        running=states.count("running"),
        busy=sum(task.busy for task in members) + (stats.busy if stats else 0.0),
        share=sum(task.share for task in members),
        steps=sum(task.steps for task in members) + (stats.steps if stats else 0),
        oldest=max(ages, default=None),
        stats=stats,
    )
