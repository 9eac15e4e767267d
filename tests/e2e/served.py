"""A server of uvicorn, for the tests of its black box: `served.py LOOP complete|failed`, how its shutdown goes."""

import sys

import uvicorn


async def app(scope, receive, send):
    for stage, outcome in (("startup", "complete"), ("shutdown", sys.argv[2])):
        assert (await receive())["type"] == f"lifespan.{stage}"
        await send({"type": f"lifespan.{stage}.{outcome}"})


if __name__ == "__main__":
    uvicorn.run(app, port=0, loop=sys.argv[1], log_level="critical")
