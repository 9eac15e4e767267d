"""All that can go wrong in a command becomes one line on stderr and an exit status: here, and nowhere else."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

import click

from monitor.errors import USAGE, LooptopError

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130
BROKEN_PIPE = 141
BUG = 70


def guarded(command: Callable[[], int]) -> int:
    """Runs a command; the exit status. With LOOPTOP_DEBUG=1 a bug shows its traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal has no letters for is no failure
            stream.reconfigure(errors="replace")
    try:
        return _status(command)
    finally:
        _flush()


def say(text: str) -> None:
    """One line of our own, beside the output."""
    from monitor.format import clean

    with contextlib.suppress(OSError):
        click.echo(f"looptop: {clean(text)}", err=True)


def _status(command: Callable[[], int]) -> int:
    try:
        return command()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        _complain(error.format_message(), _help_of(error) if error.exit_code == USAGE else "")
        return error.exit_code
    except LooptopError as error:
        _complain(error.message, error.hint)
        return error.status
    except BrokenPipeError:
        return _broken_pipe()
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("LOOPTOP_DEBUG") == "1":
            raise
        _complain(f"looptop itself failed with {type(error).__name__}: {error}", "LOOPTOP_DEBUG=1 shows where")
        return BUG


def _help_of(error: click.ClickException) -> str:
    """The help of the command that was typed."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{context.command_path if context is not None else 'looptop'} --help"


def _complain(message: str, hint: str) -> None:
    message = " ".join(message.split()).removesuffix(".")
    say(f"{message}: {' '.join(hint.split())}" if hint else message)


def _broken_pipe() -> int:
    """Nobody reads any more: no reason to say anything, or to fail while Python flushes."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return BROKEN_PIPE


def _flush() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _broken_pipe()
    except (OSError, ValueError):
        return
