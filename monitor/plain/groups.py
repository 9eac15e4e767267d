"""Output of `looptop groups`: tasks by coroutine and label, or by creation site."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from monitor import early_end
from monitor import formatting as fmt
from monitor.errors import ConnectError, UsageError
from monitor.plain.objects import Object, rounded, seconds, site_object
from monitor.plain.tables import of_columns, table
from monitor.protocol import frames
from monitor.store.column import by_key, ordered
from monitor.store.group_columns import LABEL_GROUPS, title
from monitor.store.label_groups import NOT_COUNTED, WHILE_WATCHED
from monitor.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.store.column import Column
    from monitor.store.label_groups import Distribution, LabelGroup
    from monitor.transport.connection import Connection

DEFAULT_SORT = "total"
PATIENCE = 30.0
MANY = 100
"""New groups in one look after which there may be more: a probe sends 200 of both kinds at most."""
_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def sort_order(key: str) -> tuple[Column[LabelGroup], bool]:
    """The column of a `--sort`, and whether the largest comes first. Raises UsageError."""
    column = by_key(LABEL_GROUPS, key.removeprefix("-"))
    if column is None or column.sort is None:
        known = ", ".join(column.key for column in LABEL_GROUPS if column.sort is not None)
        raise UsageError(f"cannot sort by {key.removeprefix('-')!r}", f"try one of {known}")
    return column, column.descending ^ key.startswith("-")


def watched(connection: Connection, duration: float, by_site: bool = False) -> Store:
    """The store after watching the groups for that many seconds. Ctrl-C ends it as soon as they are known."""
    store = Store()
    store.apply(connection.hello)
    if store.read_only:
        raise ConnectError(f"{connection.where} is read from outside", "groups are counted by a probe")
    with closing(connection), early_end.possible():
        watch = {"type": "watch", "rate": 4, "rows": False, "events": False, "groups": True}
        connection.send({**watch, "groups_by_site": by_site})
        last_frame = began = time.monotonic()
        known, more = 0, False
        while not (early_end.asked() and store.label_groups.looks) and (
            time.monotonic() - began < duration or store.label_groups.looks < 2 or more
        ):
            came = connection.receive(0.25)
            looks = store.label_groups.looks
            for frame in came:
                store.apply(frame)
            if store.label_groups.looks > looks:
                more = len(store.label_groups) - known >= MANY
                known = len(store.label_groups)
            if came:
                last_frame = time.monotonic()
            elif time.monotonic() - last_frame > PATIENCE:
                raise ConnectError(
                    f"{connection.where} sends nothing", "one call of the program holds it up: try again"
                )
            if store.label_groups.looks == 0 and any(isinstance(frame, frames.Tick) for frame in came):
                _refuse_old(store)
    return store


def recorded(path: Path, at: str | float | None) -> Store:
    """The store of a recording at a time, or at its end. Raises UsageError if it has no groups."""
    from monitor.recording.reader import store_at

    store = store_at(path, at)
    if store.label_groups.since is None:
        raise UsageError(f"{path} has no groups", "recordings of programs with the hooks in C have, and black boxes")
    return store


def _refuse_old(store: Store) -> None:
    """Raise ConnectError if the probe does not count groups."""
    if store.session is not None and "groups" not in store.session.capabilities:
        if "free-threaded" in store.session.hooks:
            raise ConnectError(NOT_COUNTED, "without the GIL, counts of several threads would be lost")
        raise ConnectError("the probe counts no groups", "it is older than this looptop: detach it, attach again")


def chosen(store: Store, sort: str, by_site: bool) -> list[LabelGroup]:
    """The groups to print, in order: those in which something happened."""
    column, descending = sort_order(sort)
    groups = store.label_groups
    rows = [group for group in (groups.by_site if by_site else groups).values() if group.started]
    return ordered(rows, column, store, descending)


def groups_object(store: Store, sort: str, by_site: bool = False) -> Object:
    """The object that `looptop groups --json` prints."""
    return {
        "since": seconds(store.label_groups.since),
        "groups": [group_object(group, store) for group in chosen(store, sort, by_site)],
    }


def group_object(group: LabelGroup, store: Store) -> Object:
    """A group. Percentiles are null where nothing was counted."""
    return {
        "group": title(group, store) if group.by_site else group.name,
        "coro": group.coro or None,
        "label": group.label,
        "site": site_object(group.site),
        "live": group.live,
        "started": group.started,
        "ended": group.ended,
        "failed": group.failed,
        "cancelled": group.cancelled,
        "responses": group.responses or None,
        "errors": group.known_errors,
        "rate": rounded(group.rate(store.now)),
        "rate_over": rounded(group.rate_over(store.now)),
        "age": {**_percentiles(group.age), "max": seconds(group.maximum())},
        "ran": {**_percentiles(group.ran), "max": seconds(group.ran.at(1.0))},
        "queued": {**_percentiles(group.queued), "max": seconds(group.queued.at(1.0))},
        "waited": {**_percentiles(group.waited), "max": seconds(group.waited.at(1.0))},
        "total": dict(zip(("age", "ran", "queued", "waited"), map(seconds, group.sums), strict=True)),
        "slowest": [
            {
                "task": one.task,
                "age": seconds(one.age),
                "ended": seconds(one.ended),
                "outcome": one.outcome,
                "at": site_object(one.at),
            }
            for one in group.slowest
        ],
        "oldest": None
        if group.oldest is None
        else {"task": group.oldest.task, "age": seconds(group.oldest.age), "at": site_object(group.oldest.at)},
    }


def _percentiles(distribution: Distribution) -> Object:
    return {name: seconds(distribution.at(share)) for name, share in _SHARES.items()}


def group_lines(store: Store, sort: str, by_site: bool, width: int, colour: bool) -> list[str]:
    """A table, and a line that says since when."""
    rows = chosen(store, sort, by_site)
    if not rows:
        return ["No tasks yet."]
    note, since = fmt.several(len(rows), "creation site" if by_site else "group"), store.label_groups.since
    if since is not None:
        note += f", counted for {fmt.age(store.now - since)}"
    over = store.label_groups.rate_over(store.now)
    if over is not None:
        note += f", /s over the last {fmt.age(over)}"
    lines = [*table(rows, of_columns(LABEL_GROUPS, store), width, colour), "", f"{note}; █ ran ▓ queued ░ waited"]
    session = store.session
    return [*lines, WHILE_WATCHED] if session is not None and session.hooks not in ("", "C") else lines
