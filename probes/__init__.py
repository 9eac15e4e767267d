"""The part of looptop that runs inside the watched program. Standard library only; importing it starts nothing.

    import probes
    probes.install()                # early in a program; viewers come and go: looptop attach PID

    with probes.watching():         # the same, for one block
        asyncio.run(main())

    @probes.profile_time            # what every call took: looptop profile PID
    @probes.break_on_error          # with LOOPTOP_DEBUG=1, the debugger where it failed
    async def handler(request): ...

Settings are keyword arguments, or environment variables of the same names (`LOOPTOP_SLOW=0.05`): docs/config.md.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .decorators.breakpoints import break_after, break_before, break_on_error
    from .decorators.profile import profile_memory, profile_time
    from .probe import Probe

__all__ = [
    "break_after",
    "break_before",
    "break_on_error",
    "install",
    "label",
    "profile_memory",
    "profile_time",
    "uninstall",
    "watching",
]


def __getattr__(name: str) -> Any:
    """Loads the decorators on first use."""
    if name.startswith("break_") and name in __all__:
        from .decorators import breakpoints

        return getattr(breakpoints, name)
    if name.startswith("profile_") and name in __all__:
        from .decorators import profile

        return getattr(profile, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def install(**settings: Any) -> Probe | None:
    """Installs a probe in this program and returns it; an existing probe is returned as it is.

    Never raises: a failure is one line on stderr, and None is returned.
    """
    there: Probe | None = getattr(sys, "_looptop_probe", None)
    if there is not None:
        return there
    if _in_sub_interpreter():
        sys.stderr.write("looptop: no probe, the program goes on: a probe belongs into the main interpreter\n")
        return None
    try:
        from . import start

        return start.start(settings)
    except Exception as error:
        try:
            sys.stderr.write(f"looptop: no probe, the program goes on: {type(error).__name__}: {error}\n")
        except Exception:
            return None
        return None


def _in_sub_interpreter() -> bool:
    """Whether this is a sub-interpreter. A thread of the probe would outlive it, and 3.13 then aborts the process."""
    import _thread

    is_main: Any = getattr(_thread, "_is_main_interpreter", None)
    if is_main is not None:  # 3.12 and later
        return not is_main()
    name = "_xxsubinterpreters"  # of 3.11, and private there
    before = name in sys.modules
    try:
        interpreters: Any = __import__(name)
    except ImportError:
        return False
    if not before:
        del sys.modules[name]
    return bool(interpreters.get_current() != interpreters.get_main())


def uninstall() -> None:
    """Removes the probe: hooks, threads and files."""
    there = getattr(sys, "_looptop_probe", None)
    if there is not None:
        there.stop()


def label(text: str) -> None:
    """Names what the current task is working on, as in `probes.label("GET /orders")`. Does nothing without a probe."""
    there = getattr(sys, "_looptop_probe", None)
    if there is not None:
        there.labels.name_current(text)


@contextmanager
def watching(**settings: Any) -> Iterator[Probe | None]:
    """A probe for the length of a `with` block, unless one is there already."""
    before = getattr(sys, "_looptop_probe", None)
    probe = install(**settings)
    try:
        yield probe
    finally:
        if before is None:
            uninstall()
