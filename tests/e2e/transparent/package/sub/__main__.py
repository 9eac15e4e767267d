import asyncio
import sys

from .. import sub


async def main():
    task = asyncio.create_task(asyncio.sleep(0.001, "slept"))
    print(__name__, __package__, __spec__.name, sub.__name__, sys.argv, sys.orig_argv[1:], await task, task)


asyncio.run(main())
raise SystemExit(len(sys.argv))
