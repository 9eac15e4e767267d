# ruff: noqa - programs to be watched, not to be liked
import asyncio
import os
import signal
import sys
import threading

how = sys.argv[1]


async def work():
    try:
        await asyncio.sleep(0.001)
        if how == "exit-in-task":
            sys.exit(7)
        if how == "interrupt-in-task":
            raise KeyboardInterrupt
        if how == "exit-text":
            sys.exit("a text for stderr")
        if how == "unhandled":
            raise ArithmeticError("unhandled")
        if how == "base":
            raise BaseException("base")
        end_soon()
        await asyncio.sleep(60)
    finally:
        print("finally", how)


def callback():
    if how == "exit-in-callback":
        sys.exit(8)
    raise KeyboardInterrupt


def end_soon():
    """The task is at its last line then, also on a busy machine: its traceback is always the same."""
    loop = asyncio.get_running_loop()
    if how in ("exit-in-callback", "interrupt-in-callback"):
        loop.call_later(0.05, callback)
    if how.startswith("sigint"):
        loop.call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
    if how.startswith("sigterm"):
        loop.call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)


async def main():
    loop = asyncio.get_running_loop()
    other = asyncio.create_task(work())
    if how == "sigint-handled":
        try:
            await other
        except asyncio.CancelledError:
            print("main is cancelled", asyncio.current_task().cancelling())
            raise
    if how == "sigterm-handler":
        loop.add_signal_handler(signal.SIGTERM, lambda: (print("handler"), other.cancel()))
    await other
    print("not reached")


print(threading.active_count(), signal.getsignal(signal.SIGINT), file=sys.stderr)
asyncio.run(main())
