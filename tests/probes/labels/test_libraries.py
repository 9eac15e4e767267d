"""Labels of tasks that real libraries make, each by its adapter."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watched import Program

from probes.labels import context_variable

PARTS = (
    "grpc",
    "aio_pika",
    "faststream",
    "arq",
    "taskiq",
    "django",
    "litestar",
    "uvicorn_h11",
    "uvicorn_httptools",
    "aiohttp_web",
    "opentelemetry",
    "broken",
)
SCRIPT = Path(__file__).parent / "libraries.py"


class Seen:
    """What a program printed of its groups."""

    def __init__(self, printed: str, notices: list[str]) -> None:
        found = json.loads(printed)
        self.missing: list[str] = found["missing"]
        self.notices = notices
        self.ended: dict[tuple[str, str | None], list[int]] = {}
        for coro, label, *counts in found["groups"]:
            self.ended[coro, label] = counts

    def need(self, part: str) -> None:
        for one in self.missing:
            if one.startswith(part):
                pytest.skip(one)

    def of(self, coro: str) -> dict[str | None, int]:
        return {label: counts[0] for (name, label), counts in self.ended.items() if name.endswith(coro)}


def run(tmp: Path, *parts: str, **env: str) -> Seen:
    with Program(SCRIPT, *parts, folder=tmp, env=env) as program, program.viewer(rate=4, groups=True) as viewer:
        line = program.line(200)
        viewer.until(lambda: viewer.ticks(1) or True, "a tick")
        return Seen(line, [str(event.get("text")) for event in viewer.events if event.get("kind") == "notice"])


@pytest.fixture(scope="module", params=["0", "1"], ids=["c", "python"])
def seen(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with tempfile.TemporaryDirectory(prefix="lt-") as directory:  # sockets have short paths
        yield run(tmp_path_factory.mktemp("libraries"), *PARTS, LOOPTOP_PURE=request.param, LOOPTOP_DIR=directory)


def test_calls_of_grpc(seen: Seen) -> None:
    seen.need("grpc")
    assert seen.of("_handle_exceptions") == {"/shop.Orders/Get": 3}


def test_messages_of_rabbitmq(seen: Seen) -> None:
    seen.need("aio_pika")
    assert seen.of("consumer")["consume shop:orders.*.created"] == 3
    assert seen.of("aio_pika.<locals>.take") == {"consume shop:orders.*.created": 3}


def test_messages_of_faststream(seen: Seen) -> None:
    seen.need("faststream")
    assert seen.of("consumer")["consume orders"] == 1


def test_jobs_of_arq(seen: Seen) -> None:
    seen.need("arq")
    assert seen.of("Worker.run_job") == {"report": 3}


def test_tasks_of_taskiq(seen: Seen) -> None:
    seen.need("taskiq")
    assert seen.of("Receiver.callback") == {"shop:report": 3}


def test_a_request_of_django_counts_once(seen: Seen) -> None:
    """With the server's task, whose scope has no route, and with the status of the response. Without one, with its own."""
    seen.need("django")
    served, alone = "GET /items/<int:number>/", "GET /alone/<int:number>/"
    assert seen.of("process_request") == {None: 3, alone: 1}
    assert seen.of("request_of.<locals>.serve")[served] == 3
    counts = {label: found[2:] for (_, label), found in seen.ended.items() if label in (served, alone)}
    assert counts in ({served: [3, 1], alone: [1, 0]}, {served: [0, 0], alone: [0, 0]})  # before 5.2: unknown
    assert next(found for (coro, label), found in seen.ended.items() if coro.endswith("process_request") and not label)[
        2:
    ] == [0, 0]


def test_requests_of_litestar(seen: Seen) -> None:
    seen.need("litestar")
    assert seen.of("request_of.<locals>.serve")["GET /items/{number}"] == 3


@pytest.mark.parametrize(
    ("protocol", "label"), [("uvicorn_h11", "GET /plain/*"), ("uvicorn_httptools", "GET /tools/*")]
)
def test_responses_of_uvicorn(protocol: str, label: str, seen: Seen) -> None:
    """Also if the application raises, responds in a task of its own, or not at all; the refusal is no request."""
    seen.need(protocol)
    ended, failed, responses, errors = seen.ended["RequestResponseCycle.run_asgi", label]
    assert (ended, failed, responses, errors) == (6, 0, 6, 4)


def test_requests_of_aiohttp(seen: Seen) -> None:
    """Also where the methods of a resource share a route, and for as long as a route is known by its first request."""
    seen.need("aiohttp_web")
    expected = {
        f"{method} {path}": 3 for path in ("/carts/{number}", "/any", "/deaf") for method in ("GET", "POST", "HEAD")
    }
    ended = seen.of("RequestHandler._handle_request")
    assert {label: count for label, count in ended.items() if label in expected} == expected
    assert {method: ended[f"{method} /none/*"] for method in ("GET", "POST", "HEAD")} == {
        "GET": 3,
        "POST": 3,
        "HEAD": 3,
    }
    counts = seen.ended["RequestHandler._handle_request", "POST /carts/{number}"]
    assert counts == [3, 0, 3, 3]


def test_spans(seen: Seen) -> None:
    """A task has the first span that is current after a step of it, by its last name."""
    seen.need("opentelemetry")
    assert seen.of("spanned") == {"GET /spans/{id}": 3}
    assert seen.of("opentelemetry.<locals>.part") == {"SELECT": 3}


def test_an_adapter_that_fails_is_off(seen: Seen) -> None:
    assert any("labels of arq are off: " in text and "on purpose" in text for text in seen.notices), seen.notices


@pytest.mark.parametrize("pure", ["0", "1"])
def test_a_context_variable(pure: str, tmp_path: Path) -> None:
    """The last text that it had after a step; its module is loaded after the probe."""
    (tmp_path / "ctx.py").write_text("from contextvars import ContextVar\nroute = ContextVar('route')\n")
    env = {"LOOPTOP_PURE": pure, "LOOPTOP_LABEL": "ctx:route", "PYTHONPATH": str(tmp_path)}
    seen = run(tmp_path, "variable", **env)
    assert seen.of("work") == {"import 0": 1, "import 1": 1}
    assert seen.of("at_once") == {"at once": 1}


def test_a_variable_of_the_script_may_be_defined_later() -> None:
    assert context_variable.find("__main__:defined_further_below") is None


@pytest.mark.parametrize("value", ["nonsense", "asyncio:Task"])
def test_what_is_no_context_variable_is_refused(value: str, tmp_path: Path) -> None:
    seen = run(tmp_path, LOOPTOP_LABEL=value)
    assert [text for text in seen.notices if value in text and "label" in text], seen.notices
