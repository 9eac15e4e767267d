"""Turns every failure of a command into one line on stderr and an exit status. Nothing else does."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
from typing import TYPE_CHECKING

import click

from monitor import early_end
from monitor.errors import BUG, USAGE, LooptopError

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130
UNWRITTEN = 74
BROKEN_PIPE = 141
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


_SPELT = dict(zip("µ≥–…·×→▶▷✓✗⊘■├└─│", "u>-~.x>>>+x/#||-|", strict=True))
"""ASCII replacements for the symbols we print, where the output's encoding lacks them: `?s` would not be a unit."""


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SPELT.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("looptop", _spell)


def guarded(command: Callable[[], int]) -> int:
    """Run a command and return its exit status. With LOOPTOP_DEBUG=1 a bug shows its traceback."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot encode must not fail the command
            stream.reconfigure(errors="looptop")
    early_end.forget()
    status = _status(command)
    return _flush() or status or (INTERRUPTED if early_end.asked() else 0)


def say(text: str) -> None:
    """Print one line to stderr, prefixed with `looptop:`."""
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
    except Exception as error:  # noqa: BLE001 - it is reported
        return _bug(error)


def _bug(error: Exception) -> int:
    """Report a bug in looptop, or raise it with LOOPTOP_DEBUG=1."""
    if os.environ.get("LOOPTOP_DEBUG") == "1":
        raise error
    _complain(f"looptop itself failed with {type(error).__name__}: {error}", "LOOPTOP_DEBUG=1 shows where")
    return BUG


def _unwritten(error: OSError) -> int:
    """Report that stdout cannot be written (a full disk, for example) and discard the remaining output."""
    _broken_pipe()
    _complain(f"the output cannot be written: {error.strerror}", "")
    return UNWRITTEN


def _open_what_is_closed() -> None:
    """Open /dev/null for stdin, stdout or stderr if the shell closed it, so that no file of looptop gets its number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - open until the process ends


def _help_of(error: click.ClickException) -> str:
    """The `--help` command to suggest for a usage error."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{context.command_path if context is not None else 'looptop'} --help"


def _complain(message: str, hint: str) -> None:
    message = " ".join(message.split()).removesuffix(".")
    say(f"{message}: {' '.join(hint.split())}" if hint else message)


def _broken_pipe() -> int:
    """Nobody reads stdout any more: discard the rest, so that flushing at exit does not fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return BROKEN_PIPE


def _flush() -> int:
    """Flush stdout; the exit status if that fails, else 0."""
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
