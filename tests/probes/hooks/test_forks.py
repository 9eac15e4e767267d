"""A fork is warned about as without a probe: not for our threads, and still for those of the program."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from interpreters import version_of
from watched import Program

from probes.base.id_bitset import Ids

FORKS = """
    import asyncio, os, sys, threading, warnings
    before = list(warnings.filters)

    def fork():
        pid = os.fork()
        if pid == 0:
            os._exit(len([entry for entry in warnings.filters if "MutedWarning" in str(entry)]))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    async def main():
        print(fork(), fork(), flush=True)

    asyncio.run(main())
    lock = threading.Lock()
    lock.acquire()
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    print("own thread", file=sys.stderr, flush=True)
    print(fork(), flush=True)
    lock.release()
    thread.join()
"""


def test_a_fork_is_not_warned_about_for_our_threads(tmp_path: Path, python: str) -> None:
    with Program(FORKS, folder=tmp_path, python=python, settings={"expect": 30}) as program:
        program.expect("0 0")
        program.expect("0")
        assert program.end() == 0
        quiet, _, warned = program.stderr.partition("own thread")
        assert "DeprecationWarning" not in quiet, quiet
        assert ("DeprecationWarning" in warned) == (version_of(python) >= (3, 12)), warned


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5000))))
def test_ids_are_a_set(changes: list[tuple[bool, int]]) -> None:
    ids, known = Ids(), set()
    for add, number in changes:
        ids.add(number) if add else ids.discard(number)
        known.add(number) if add else known.discard(number)
        assert (number in ids) == (number in known) and bool(ids) == bool(known)
    ids.difference_update([number for _, number in changes])
    assert not ids
