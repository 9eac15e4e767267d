"""A program that has tasks of many libraries, as they make them: `libraries.py PART…`. It prints its groups.

A part whose library is missing is printed as such. Servers are real where nothing else must run for them; messages of
RabbitMQ are given to the real consumers without a broker, arq has a Redis in memory.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from typing import Any


async def until_counted() -> None:
    while not (sys._looptop_probe.counting.on and groups().counting):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


def groups() -> Any:
    return next(module.groups for name, module in sys.modules.items() if name.endswith(".hooks.groups"))


async def grpc() -> None:
    import grpc
    import grpc.aio

    async def get(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0.01)
        return b"done"

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(get) if details.method == "/shop.Orders/Get" else None

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(3):
            assert await channel.unary_unary("/shop.Orders/Get")(b"x") == b"done"
    await server.stop(0)


def delivered(exchange: str, key: str) -> Any:
    from aiormq.abc import DeliveredMessage
    from pamqp import commands
    from pamqp.header import ContentHeader

    class Channel:
        async def basic_ack(self, *args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)

    delivery = commands.Basic.Deliver("tag", 1, False, exchange, key)
    return DeliveredMessage(delivery=delivery, header=ContentHeader(), body=b"{}", channel=Channel())


async def aio_pika() -> None:
    from functools import partial

    from aio_pika.queue import consumer

    async def take(message: Any) -> None:
        await asyncio.sleep(0.001)

    tasks = []
    for number in range(3):
        one = delivered("shop", f"orders.{number}.created")
        tasks.append(asyncio.create_task(partial(consumer, take)(one, no_ack=True)))
    await asyncio.gather(*tasks)


async def faststream() -> None:
    from aio_pika.queue import consumer
    from faststream.rabbit import RabbitBroker

    broker = RabbitBroker()
    taken = []

    @broker.subscriber("orders")
    async def take(body: Any) -> None:
        taken.append(body)
        await asyncio.sleep(0.001)

    await asyncio.sleep(0)
    for subscriber in broker.subscribers:
        subscriber._build_fastdepends_model()
        subscriber.running = True
        await asyncio.create_task(consumer(subscriber.consume, delivered("", "orders"), no_ack=True))


async def arq() -> None:
    import arq.worker
    import fakeredis
    from arq.connections import ArqRedis
    from arq.worker import Worker, func

    async def report(ctx: Any, name: str) -> str:
        await asyncio.sleep(0.01)
        return name

    async def no_info(*args: Any) -> None:
        pass

    server = fakeredis.FakeServer()
    pool = ArqRedis(fakeredis.FakeAsyncRedis(server=server).connection_pool)
    for number in range(3):
        await pool.enqueue_job("report", str(number))
    arq.worker.log_redis_info = no_info  # which is more than the Redis in memory knows
    worker = Worker([func(report, name="report")], redis_pool=pool, burst=True, poll_delay=0.01, handle_signals=False)
    await worker.async_run()


async def taskiq() -> None:
    from taskiq import InMemoryBroker

    broker = InMemoryBroker()

    @broker.task(task_name="shop:report")
    async def report(number: int) -> int:
        await asyncio.sleep(0.01)
        return number

    await broker.startup()
    for number in range(3):
        await (await report.kiq(number)).wait_result()


async def django() -> None:
    import django
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    async def item(request: Any, number: int) -> Any:
        await asyncio.sleep(0.01)
        return HttpResponse("x", status=503 if number == 2 else 200)

    routes = path("items/<int:number>/", item), path("alone/<int:number>/", item)
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=routes, MIDDLEWARE=[])
    django.setup()
    from django.core.asgi import get_asgi_application

    app = get_asgi_application()
    for number in range(3):
        await request_of(app, f"/items/{number}/")
    await request_of(app, "/alone/1/", known=False)


async def litestar() -> None:
    from litestar import Litestar, get

    @get("/items/{number:int}")
    async def item(number: int) -> dict[str, int]:
        await asyncio.sleep(0.01)
        return {"number": number}

    app = Litestar([item])
    for number in range(3):
        await request_of(app, f"/items/{number}")


async def uvicorn(*protocols: str) -> None:
    """Status 200, 404, 503, an application that raises, a task of its own that responds, one that responds not."""
    import uvicorn

    async def respond(send: Any, status: int) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        number = int(scope["path"].rpartition("/")[2])
        if number == 1:
            raise LookupError("on purpose")
        if number == 2:
            await asyncio.create_task(respond(send, 502))
        elif number >= 100:
            await respond(send, number)

    for protocol in protocols:
        server = uvicorn.Server(uvicorn.Config(app, port=0, http=protocol, lifespan="off", log_level=100))
        serving = asyncio.create_task(server.serve())
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if serving.done():
            serving.result()
        port = server.servers[0].sockets[0].getsockname()[1]
        name = {"h11": "plain", "httptools": "tools"}[protocol]
        for number in (200, 404, 503, 1, 2, 3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /{name}/{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert b" 200" in await reader.readline() or number != 200
            await reader.read()
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"NONSENSE\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        server.should_exit = True
        await serving


async def uvicorn_h11() -> None:
    await uvicorn("h11")


async def uvicorn_httptools() -> None:
    import httptools  # noqa: F401 - not there: skipped

    await uvicorn("httptools")


async def request_of(app: Any, path: str, known: bool = True) -> None:
    """A request as hypercorn and daphne make it: a task of the application with its scope; or in a way not known."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if asked:
            return asked.pop()
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    async def unknown() -> None:
        await app(scope, receive, send)

    await asyncio.create_task(serve(scope, receive, send) if known else unknown())


async def aiohttp_web() -> None:
    """Two methods of one resource, a route for all methods, a resource that takes no account of them, and no route."""
    from aiohttp import ClientSession, web, web_urldispatcher

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=503 if request.method == "POST" else 200)

    class Deaf(web_urldispatcher.PlainResource):
        async def resolve(self, request: web.Request) -> Any:
            found = self._match(request.rel_url.raw_path)
            match = None if found is None else web_urldispatcher.UrlMappingMatchInfo(found, next(iter(self)))
            return match, {"GET"}

    app = web.Application()
    app.router.add_get("/carts/{number}", answer)
    app.router.add_post("/carts/{number}", answer)
    app.router.add_route("*", "/any", answer)
    deaf = Deaf("/deaf")
    app.router.register_resource(deaf)
    deaf.add_route("GET", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with ClientSession(f"http://127.0.0.1:{port}") as session:
        for number in range(3):
            for path in (f"/carts/{number}", "/any", "/deaf", f"/none/{number}"):
                for method in ("GET", "POST", "HEAD"):
                    async with session.request(method, path):
                        pass
    await runner.cleanup()


async def opentelemetry() -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    tracer = trace.get_tracer("test")
    probe = sys._looptop_probe

    async def part() -> None:
        await asyncio.sleep(0.001)

    async def spanned() -> None:
        with tracer.start_as_current_span("GET") as span:
            await asyncio.sleep(0.001)
            with tracer.start_as_current_span("SELECT"):
                await asyncio.create_task(part())
            span.update_name("GET /spans/{id}")

    probe.labels.look()
    for _ in range(3):
        await asyncio.create_task(spanned())


async def variable() -> None:
    import ctx

    sys._looptop_probe.labels.look()

    async def work(number: int) -> None:
        ctx.route.set(f"job {number}")
        await asyncio.sleep(0.001)
        ctx.route.set(f"import {number}")

    async def at_once() -> None:
        ctx.route.set("at once")

    for number in range(2):
        await asyncio.create_task(work(number))
    await asyncio.create_task(at_once())


async def broken() -> None:
    """A library that is not what it was: its adapter is switched off, and the task goes on."""
    space: dict[str, Any] = {}
    exec(compile("class Worker:\n    async def run_job(self): return Function()", "/x/arq/worker.py", "exec"), space)

    class Function:
        __module__ = "arq.worker"

        @property
        def name(self) -> str:
            raise LookupError("on purpose")

    class Worker(space["Worker"]):
        pass

    async def run_job(function: Any) -> str:
        await asyncio.sleep(0)
        return "fine"

    run_job.__code__ = run_job.__code__.replace(co_qualname="Worker.run_job", co_filename="/x/arq/worker.py")
    assert await asyncio.create_task(run_job(Function())) == "fine"


async def main(parts: list[str]) -> None:
    await until_counted()
    missing = []
    for part in parts:
        try:
            await globals()[part]()
        except ImportError as error:
            missing.append(f"{part}: {error}")
        except Exception:
            traceback.print_exc()
    await asyncio.sleep(0.1)
    rows = [
        [group.coro, group.label, group.ended, group.failed, group.responses, group.errors]
        for group in groups().by_number.values()
        if group.ended
    ]
    print(json.dumps({"groups": rows, "missing": missing}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
