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
        await asyncio.sleep(5)
    finally:
        print("finally", how)


def callback():
    if how == "exit-in-callback":
        sys.exit(8)
    raise KeyboardInterrupt


async def main():
    loop = asyncio.get_running_loop()
    other = asyncio.create_task(work())
    if how in ("exit-in-callback", "interrupt-in-callback"):
        loop.call_later(0.05, callback)
    if how == "sigint":
        loop.call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
    if how == "sigint-handled":
        try:
            loop.call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
            await other
        except asyncio.CancelledError:
            print("main is cancelled", asyncio.current_task().cancelling())
            raise
    if how == "sigterm-handler":
        loop.add_signal_handler(signal.SIGTERM, lambda: (print("handler"), other.cancel()))
        loop.call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
    if how == "sigterm":
        sys.stdout.flush()
        loop.call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
    await other
    print("not reached")


print(threading.active_count(), signal.getsignal(signal.SIGINT), file=sys.stderr)
asyncio.run(main())
