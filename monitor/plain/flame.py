"""Output of `looptop flame`: samples a program for a while; text, JSON, or formats of other tools."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from monitor import early_end
from monitor import formatting as fmt
from monitor.flame import formats, page, tree
from monitor.flame.load import JOBS, ON_LOOP, WAITING, Collector, Profile
from monitor.plain.objects import rounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.flame.tree import Node
    from monitor.plain.objects import Object
    from monitor.store.flame import Stack, Whose
    from monitor.store.model import Site
    from monitor.transport.connection import Connection

RATE = 4
LEAST_SHARE = 0.01
"""Share of the total below which functions are omitted from the text."""
MOST_LINES = 60
TITLES = {ON_LOOP: "on the loop", WAITING: "waiting", JOBS: "in jobs of executors"}


def measure(connection: Connection, duration: float, hz: int, kind: str, by: str) -> Profile:
    """Sample a program for that many seconds and close the connection. Ctrl-C ends it early."""
    found = Collector()
    with closing(connection), early_end.possible():
        by_task = by == "task"
        watch = {"flame_wait": True, "flame_tasks": by_task} if kind == WAITING else {"flame": hz}
        watch |= {"flame_jobs": True} if kind == JOBS else {}
        connection.send({"type": "watch", "rate": RATE, "rows": by_task, "events": kind == ON_LOOP, **watch})
        until = time.monotonic() + duration + 1 / RATE  # the last tick comes when the time is over
        while (left := until - time.monotonic()) > 0 and not early_end.asked():
            for frame in connection.receive(min(left, 0.25)):
                found.apply(frame)
    return found.profile(kind)


def profile_object(profile: Profile, by: str = "group") -> Object:
    """The object that `looptop flame --json` prints. Tasks are distinguished only with `by` task."""
    seconds: dict[tuple[Whose, Stack], float] = {}
    for whose, stack, time_there in profile.stacks:
        key = (whose if by == "task" else whose._replace(task=0)), stack
        seconds[key] = seconds.get(key, 0.0) + time_there
    ordered = sorted(seconds.items(), key=lambda row: -row[1])
    return {
        "kind": profile.kind,
        "samples": profile.samples,
        "seconds": rounded(profile.stacks.seconds),
        "idle": None if profile.idle is None else rounded(profile.idle),
        "stacks": [
            {
                **({"process": whose.process} if whose.process else {}),
                "group": whose.group,
                "label": whose.label or None,
                "site": None if whose.site is None else _site(whose.site),
                **({"task": whose.task or None, "name": profile.names.get(whose.task)} if by == "task" else {}),
                "frames": [_site(site) for site in stack],
                "seconds": rounded(time_there),
            }
            for (whose, stack), time_there in ordered
        ],
    }


def _site(site: Site) -> Object:
    return {"file": site.file, "line": site.line, "function": site.function}


def difference_object(before: Profile, after: Profile) -> Object:
    """What `looptop flame --diff A B --json` prints: functions by how much their own share of the time grew."""
    return {
        "kind": after.kind,
        "before": {"seconds": rounded(before.stacks.seconds), "samples": before.samples},
        "after": {"seconds": rounded(after.stacks.seconds), "samples": after.samples},
        "functions": [
            {
                "site": _site(change.site),
                "own": {"before": rounded(change.own[0]), "after": rounded(change.own[1])},
                "total": {"before": rounded(change.total[0]), "after": rounded(change.total[1])},
            }
            for change in tree.changes(before.stacks, after.stacks)
        ],
    }


def converted(profile: Profile, kind: str, title: str, by: str) -> bytes:
    """The profile in the format of another tool."""
    rows = profile.rows(by)
    if kind == "collapsed":
        return formats.collapsed(rows).encode("utf-8", "replace")
    if kind == "speedscope":
        return formats.speedscope(rows, title).encode("utf-8", "replace")
    if kind == "pprof":
        return formats.pprof(rows, "waiting" if profile.kind == WAITING else "wall")
    return page.page(tree.build(rows), title).encode("utf-8", "replace")


def difference_page(before: Profile, after: Profile, title: str, by: str) -> bytes:
    """An HTML page that shows what grew and what shrank."""
    root = tree.difference(before.rows(by), after.rows(by))
    return page.page(root, title, is_difference=True).encode("utf-8", "replace")


def profile_lines(profile: Profile, by: str, width: int, colour: bool = False) -> list[str]:  # noqa: ARG001 - plain
    """The profile as a text tree."""
    root = tree.build(profile.rows(by))
    kind = TITLES.get(profile.kind, "in slow callbacks")
    head = f"{fmt.duration(root.seconds)} {kind}"
    if profile.samples is not None:
        head += f", {fmt.of_many(profile.samples, 'sample')}"
    if profile.idle is not None:
        head += f", idle {fmt.duration(profile.idle)}"
    lines = [head, *_tree_lines(root, width, compared=False)]
    return lines if root.seconds else [head, "no stacks: no task was found at work or waiting"]


def difference_lines(
    before: Profile,
    after: Profile,
    by: str,
    width: int,
    colour: bool = False,  # noqa: ARG001 - plain everywhere
) -> list[str]:
    """Both profiles as one text tree, and the functions that grew most."""
    root = tree.difference(before.rows(by), after.rows(by))
    grown = [one for one in tree.changes(before.stacks, after.stacks) if abs(one.own[1] - one.own[0]) >= LEAST_SHARE]
    lines = ["change of the share of each function itself:"]
    lines += [
        fmt.clean(
            f"  {_signed(one.own[1] - one.own[0])}  {one.site.function}  {_place(one.site.file, one.site.line)}"
            f"{_only(*one.total)}"
        )
        for one in grown[:15]
    ]
    lines = lines if grown else ["no function changed by more than a hundredth of the time"]
    return [line[:width] for line in [*lines, "", *_tree_lines(root, width, compared=True)]]


def _tree_lines(root: Node, width: int, *, compared: bool) -> Iterator[str]:
    least = max(root.seconds, root.before) * LEAST_SHARE
    shown = 0
    for depth, node in root.walk(-1):
        if depth < 0 or max(node.seconds, node.before) < least or not node.name:
            continue
        shown += 1
        if shown > MOST_LINES:
            yield f"… ({MOST_LINES} lines are shown; --to html has all)"
            return
        share = node.seconds / root.seconds if root.seconds else 0.0
        change = f" {_signed((node.seconds - node.before) / root.seconds)}" if compared and root.seconds else ""
        name = node.name if node.site is None else f"{node.name}  {_place(node.site.file, node.line)}"
        only = _only(node.before, node.seconds) if compared else ""
        text = f"{100 * share:5.1f} %{change} {'  ' * min(depth, 30)}{name}{only}"
        yield fmt.clean(text)[:width]


def _place(file: str, line: int) -> str:
    return f"{file.rpartition('/')[2]}:{line}" if file else ""


def _only(before: float, after: float) -> str:
    mark = fmt.only_in(before, after)
    return f"  {mark}" if mark else ""


def _signed(share: float) -> str:
    return f"{100 * share:+6.1f}".replace("-", "−")
