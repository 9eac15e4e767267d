"""What the scene of the dashboard tests pretends to watch: its lines are shown as source. Never run."""

import asyncio
import hashlib
import time


async def main():
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(worker(number), name=f"worker-{number}")
        await serve(group)


async def serve(group):
    while True:
        connection = await accept()
        group.create_task(handle(connection))


async def worker(number):
    while True:
        job = await queue.get()
        async with lock:
            await store(job)


async def handle(connection):
    request = await connection.read()
    digest = slow_digest(request.body)
    time.sleep(0.2)  # this blocks the loop
    await connection.reply(digest)


def slow_digest(body):
    for _ in range(200_000):
        body = hashlib.sha256(body).digest()
    return body


async def store(job):
    await asyncio.sleep(job.pause)
    raise KeyError("no such shelf: [bold]B7[/]")


# ruff: noqa: F821
