"""The option `--via`: the command that leads to another machine or container. Light: `looptop` itself has it."""

from __future__ import annotations

import click

from monitor.errors import UsageError

VIA = "looptop.via"


def _take_via(context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> None:
    from monitor.remote.place import words

    for command in value:
        words(command)
    context.meta[VIA] = value


def command_given() -> str | None:
    """The only `--via` of this command line. Raises UsageError if there are more."""
    commands = commands_given()
    if len(commands) > 1:
        raise UsageError("this looks at one place", "give --via once")
    return commands[0] if commands else None


def commands_given() -> tuple[str, ...]:
    """The commands of `--via` on this command line."""
    return tuple(click.get_current_context().meta.get(VIA, ()))


via_option = click.option(
    "--via",
    multiple=True,
    metavar="COMMAND",
    is_eager=True,
    expose_value=False,
    callback=_take_via,
    help="Reach it through a command: 'ssh HOST', 'docker exec -i C'. Repeat for several.",
)
