"""`looptop groups`: what endpoints, jobs and coroutines of a program do."""

from __future__ import annotations

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import connect, token_option
from monitor.guard import say


@click.command()
@click.argument("target")
@json_option
@click.option("--sort", default="total", metavar="KEY", help="Column to sort by; -KEY reverses the order (total).")
@click.option("--duration", type=click.FloatRange(0, 3600), default=2.0, metavar="S", help="Watch for S seconds (2).")
@token_option
def groups(target: str, as_json: bool, sort: str, duration: float, token_file: str | None) -> int:
    """Print the tasks of a program by coroutine and label (route, RPC method, span).

    For each: rate, failures, percentiles of its age, and where the time went. Counts are since the program's tasks
    are counted, the rate is of the seconds watched.
    """
    from monitor.attach.injection import Way
    from monitor.plain import groups as plain

    plain.sort_order(sort)
    store = plain.watched(connect(target, token_file, Way(tell=say).enter), duration)
    print_object(as_json, lambda: plain.groups_object(store, sort), lambda *how: plain.group_lines(store, sort, *how))
    return 0
