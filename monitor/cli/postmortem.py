"""`looptop postmortem`: programs that died, and their last minutes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import placed
from monitor.cli.via import command_given, via_option
from monitor.guard import say

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.attach.boxes import Box


@click.command()
@click.argument("target", required=False, callback=placed)
@json_option
@via_option
def postmortem(target: str | None, as_json: bool) -> int:
    """Open the black box of a program that died: the dashboard on its last minutes.

    TARGET is @NAME (the last one of that name), its pid or the file. Without TARGET the programs
    that left a box are listed. With --json: its last known tasks, slow callbacks, failures and
    findings. With --via those on the other side of a command.
    """
    from monitor.attach import boxes
    from monitor.remote import place

    if target is None:
        via = command_given()
        if via is None:
            _print_list(boxes.dead(), as_json, boxes.searched())
            return 0
        from monitor.attach import boxes_elsewhere

        _print_list(boxes_elsewhere.found(via), as_json)
        return 0
    there = place.split(target)
    if there is None:
        box = boxes.find(target)
        return _open(box, box.path, as_json, None)
    from monitor.attach import boxes_elsewhere

    (asked, via) = there
    box = boxes_elsewhere.found(via, asked)[0]
    with boxes_elsewhere.copied(box, via) as path:
        return _open(box, path, as_json, via)


def _print_list(found: list[Box], as_json: bool, searched: str = "") -> None:
    from monitor.plain import postmortem as plain

    def lines(width: int, colour: bool) -> list[str]:
        from monitor.plain.dead_programs import listing  # tables are drawn with Rich, and JSON is not

        return listing(found, width, colour, searched)

    print_object(as_json, lambda: plain.listing_object(found), lines)


def _open(box: Box, path: Path, as_json: bool, via: str | None) -> int:
    """Show the end of a program; `path` is its box, or a copy of it."""
    from monitor.plain import postmortem as plain

    if as_json:
        return _print_last(box, path)
    from monitor import terminal

    decision = terminal.decide_here()
    if isinstance(decision, terminal.Tui):
        from monitor.cli.home import connect_screen
        from monitor.recording.source import open_end
        from monitor.tui import run_dashboard

        return run_dashboard(open_end(path), home=partial(connect_screen, via=via))
    from monitor.cli.tasks import print_seen
    from monitor.plain.snapshot import recorded_tasks
    from monitor.plain.task_options import TaskOptions
    from monitor.recording.reader import store_at

    store = store_at(path)
    for line in (plain.summary(box), *plain.last_calls(store), *plain.left_out(store)):
        say(line)
    say(f"{decision.reason}: printing a table instead")
    return print_seen(recorded_tasks(store, TaskOptions()), as_json=False)


def _print_last(box: Box, path: Path) -> int:
    from monitor.findings import thresholds
    from monitor.findings.rules.engine import Findings
    from monitor.plain import postmortem as plain
    from monitor.plain import stream
    from monitor.plain.objects import dump
    from monitor.recording.reader import store_at

    findings = Findings(thresholds.load())
    things = stream.replayed(path, None, None, None, findings)
    click.echo(dump(plain.last_object(box, store_at(path), things, findings)))
    return 0
