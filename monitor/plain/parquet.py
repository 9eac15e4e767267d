"""`looptop export --to parquet`: recordings as columns, one file a table, written by DuckDB.

DuckDB rather than pyarrow: it is a third of the size, has no dependencies, and is what the files are queried with.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.errors import UsageError
from monitor.plain.export import COLUMNS, TYPES, things
from monitor.recording.export import write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack
    from io import TextIOWrapper

    from monitor.recording.reader import Recording

TABLES = {{"slow": "slow_callbacks"}.get(table, table): kind for table, kind in TYPES.items()}
"""The tables, and the `type` of the objects that become their rows."""
SHARED = {"host": "VARCHAR", "program": "VARCHAR", "pid": "BIGINT", "worker": "INTEGER"}
"""Columns of every table that identify a row's recording."""
_TYPES = {
    "time": "DOUBLE",
    "task": "BIGINT",
    "tasks": "BIGINT",
    "steps": "BIGINT",
    "ready": "BIGINT",
    "timers": "BIGINT",
    "rss": "BIGINT",
    "threads": "BIGINT",
    "fds": "BIGINT",
    "loop": "BIGINT",
    "line": "BIGINT",
    "live": "BIGINT",
    "ended": "BIGINT",
    "failed": "BIGINT",
    "cancelled": "BIGINT",
    "waker": "BIGINT",
}
_TEXTS = {"name", "coro", "state", "waiting_on", "callback", "file", "function", "outcome", "exception", "message"}
_TEXTS |= {"cancelled_by", "label", "made_ready_by"}
PIECE = 1 << 20


def export(
    recordings: Sequence[tuple[int, Recording]], folder: Path, *, overwrite: bool = False
) -> list[tuple[Path, int]]:
    """Write one file per table into a folder; returns the files and their sizes.

    The recordings are given with their workers. Raises UsageError if DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise UsageError("Parquet needs the package duckdb", "pip install 'looptop[parquet]'") from None
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} is not a folder", error.strerror or str(error)) from None
    written = []
    with tempfile.TemporaryDirectory(prefix="looptop-") as scratch:  # mode 0700
        _rows(recordings, Path(scratch))
        connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})
        for table in TABLES:
            made = Path(scratch) / f"{table}.parquet"
            connection.execute(_copy(table, Path(scratch), made))
            path = folder / made.name
            written.append((path, write(path, _pieces(made), overwrite=overwrite)))
        connection.close()
    return written


def columns(table: str) -> dict[str, str]:
    """The columns of a table with DuckDB's types, in order; durations in seconds, sizes in bytes, `time` as time."""
    own = COLUMNS[{"slow_callbacks": "slow"}.get(table, table)]
    return {**SHARED, **{name: "VARCHAR" if name in _TEXTS else _TYPES.get(name, "DOUBLE") for name in own}}


def _rows(recordings: Sequence[tuple[int, Recording]], scratch: Path) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        files = {kind: _open(stack, scratch / f"{table}.ndjson") for table, kind in TABLES.items()}
        wanted = {kind: [name for name in columns(table) if name not in SHARED] for table, kind in TABLES.items()}
        for worker, recording in recordings:
            shared: dict[str, Any] = {"worker": worker}
            for thing in things(recording, None, None):
                kind = thing["type"]
                if kind == "session":
                    shared |= {"host": thing.get("host"), "program": thing.get("name"), "pid": thing.get("pid")}
                if kind in files:
                    row = {**shared, **{name: thing.get(name) for name in wanted[kind]}}
                    files[kind].write(json.dumps(row) + "\n")


def _open(stack: ExitStack, path: Path) -> TextIOWrapper:
    return stack.enter_context(path.open("w", encoding="utf-8"))


def _copy(table: str, scratch: Path, made: Path) -> str:
    found = columns(table)
    types = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in found.items()) + "}"
    shown = ", ".join("to_timestamp(time) AS time" if name == "time" else f'"{name}"' for name in found)
    source = f"read_json({_quoted(scratch / f'{table}.ndjson')}, columns = {types}, format = 'newline_delimited')"
    return f"COPY (SELECT {shown} FROM {source}) TO {_quoted(made)} (FORMAT parquet, COMPRESSION zstd)"  # noqa: S608 - no user input


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
