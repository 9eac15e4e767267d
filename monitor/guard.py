"""All that can go wrong in a command becomes one line on stderr and an exit status: here, and nowhere else."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
from typing import TYPE_CHECKING

import click

from monitor.errors import BUG, USAGE, LooptopError

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130
UNWRITTEN = 74
BROKEN_PIPE = 141
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


_SPELT = dict(zip("µ≥–…·×→▶▷✓✗⊘■├└─│", "u>-~.x>>>+x/#||-|", strict=True))
"""How the signs that we print are told where the output has no letters for them: `?s` would be no unit."""


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SPELT.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("looptop", _spell)


def guarded(command: Callable[[], int]) -> int:
    """Runs a command; the exit status. With LOOPTOP_DEBUG=1 a bug shows its traceback."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal has no letters for is no failure
            stream.reconfigure(errors="looptop")
    status = _status(command)
    return _flush() or status


def say(text: str) -> None:
    """One line of our own, beside the output."""
    from monitor.formatting import clean

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
    except OSError as error:
        return _unwritten(error) if error.errno in _FULL and error.filename is None else _bug(error)
    except Exception as error:  # noqa: BLE001 - it is told
        return _bug(error)


def _bug(error: Exception) -> int:
    """A failure of ours. With LOOPTOP_DEBUG=1 it is raised."""
    if os.environ.get("LOOPTOP_DEBUG") == "1":
        raise error
    _complain(f"looptop itself failed with {type(error).__name__}: {error}", "LOOPTOP_DEBUG=1 shows where")
    return BUG


def _unwritten(error: OSError) -> int:
    """Stdout takes nothing more: the disk is full, say. What is left of it goes nowhere."""
    _broken_pipe()
    _complain(f"the output cannot be written: {error.strerror}", "")
    return UNWRITTEN


def _open_what_is_closed() -> None:
    """Gives stdin, stdout and stderr a number again where the shell has closed them: our own files must not get it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for as long as we live


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


def _flush() -> int:
    """What is still to be printed; a status where that fails."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as error:
        return _unwritten(error)
    except ValueError:
        pass
    return 0
