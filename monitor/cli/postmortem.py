"""`looptop postmortem`: programs that died, and their last minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.cli.output import json_option, print_object
from monitor.guard import say

if TYPE_CHECKING:
    from monitor.attach.boxes import Box


@click.command()
@click.argument("target", required=False)
@json_option
def postmortem(target: str | None, as_json: bool) -> int:
    """Open the black box of a program that died: the dashboard on its last minutes.

    TARGET is @NAME (the last one of that name), its pid or the file. Without TARGET the programs
    that left a box are listed. With --json: its last known tasks, slow callbacks, failures and
    findings.
    """
    from monitor.attach import boxes
    from monitor.plain import postmortem as plain

    if target is None:
        found = boxes.dead()

        def lines(width: int, colour: bool) -> list[str]:
            from monitor.plain.dead_programs import listing  # tables are drawn with Rich, and JSON is not

            return listing(found, width, colour)

        print_object(as_json, lambda: plain.listing_object(found), lines)
        return 0
    box = boxes.find(target)
    if as_json:
        return _print_last(box)
    from monitor import terminal

    decision = terminal.decide_here()
    if isinstance(decision, terminal.Tui):
        from monitor.cli.home import connect_screen
        from monitor.recording.source import open_end
        from monitor.tui import run_dashboard

        return run_dashboard(open_end(box.path), home=connect_screen)
    from monitor.cli.tasks import print_seen
    from monitor.plain.snapshot import recorded_tasks
    from monitor.plain.task_options import TaskOptions
    from monitor.recording.reader import store_at

    store = store_at(box.path)
    for line in (plain.summary(box), *plain.last_calls(store)):
        say(line)
    say(f"{decision.reason}: printing a table instead")
    return print_seen(recorded_tasks(store, TaskOptions()), as_json=False)


def _print_last(box: Box) -> int:
    from monitor.findings import thresholds
    from monitor.findings.rules.engine import Findings
    from monitor.plain import postmortem as plain
    from monitor.plain import stream
    from monitor.plain.objects import dump
    from monitor.recording.reader import store_at

    findings = Findings(thresholds.load())
    things = stream.replayed(box.path, None, None, None, findings)
    click.echo(dump(plain.last_object(box, store_at(box.path), things, findings)))
    return 0
