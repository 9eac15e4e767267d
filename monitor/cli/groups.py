"""`looptop groups`: what endpoints, jobs and coroutines of a program do."""

from __future__ import annotations

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import Connector, connect, set_of, targets_argument, token_option
from monitor.guard import say


@click.command()
@targets_argument
@json_option
@click.option("--sort", default="total", metavar="KEY", help="Column to sort by; -KEY reverses the order (total).")
@click.option("--duration", type=click.FloatRange(0, 3600), default=2.0, metavar="S", help="Watch for S seconds (2).")
@token_option
def groups(targets: tuple[str, ...], as_json: bool, sort: str, duration: float, token_file: str | None) -> int:
    """Print the tasks of a program by coroutine and label (route, RPC method, span).

    For each: rate, failures, percentiles of its age, and where the time went. Counts are since the program's tasks
    are counted, the rate is of the seconds watched.
    """
    from monitor.attach.injector import Injector
    from monitor.plain import groups as plain

    plain.sort_order(sort)
    members = set_of(targets)
    if members is not None:
        from monitor.cli.each_worker import print_each

        return print_each(
            members,
            Connector(token_file),
            lambda connection: plain.watched(connection, duration),
            duration,
            as_json,
            lambda store: plain.groups_object(store, sort),
            lambda store, *how: plain.group_lines(store, sort, *how),
        )
    store = plain.watched(connect(targets[0], token_file, Injector(tell=say).inject), duration)
    print_object(as_json, lambda: plain.groups_object(store, sort), lambda *how: plain.group_lines(store, sort, *how))
    return 0
