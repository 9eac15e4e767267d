# ruff: noqa - programs to be watched, not to be liked
import os
import sys
import threading
import warnings

import __main__

sys_modules = sorted(sys.modules)
print(
    [
        (key, value)
        for key, value in sorted(vars(__main__).items())
        if key not in ("sys_modules", "__builtins__", "__loader__", "__cached__")
    ]
)
print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.warnoptions, sys.meta_path, sys.path_hooks)
print(sorted((key, value) for key, value in os.environ.items() if key not in ("LOOPTOP_DIR", "PYTEST_CURRENT_TEST")))
print(threading.enumerate(), threading.active_count(), threading.current_thread(), threading.stack_size())
print(sys.stdin, sys.stdout, sys.stderr, sys.excepthook, sys.unraisablehook, sys.displayhook)
print(sys.getswitchinterval(), sys.getrecursionlimit(), sys.gettrace(), sys.getprofile())
print(warnings.filters)
import gc

print(gc.isenabled(), gc.get_threshold(), gc.callbacks, gc.get_debug())
import asyncio
import json

import records
import settings
import wire

import monitor
import probes

print(json.MINE, probes.MINE, monitor.MINE, records.MINE, settings.MINE, wire.MINE, probes.__file__, json.__file__)
print(
    asyncio.get_event_loop_policy().__class__,
    asyncio.Task,
    asyncio.create_task,
    sys.get_coroutine_origin_tracking_depth(),
)
print(
    asyncio.all_tasks.__module__, [name for name in sorted(vars(asyncio.events)) if "loop" in name and "probe" in name]
)
asyncio_loaded = set(sys.modules)
OURS = ("_looptop_probes",)
print([name for name in sys_modules if name not in asyncio_loaded])


async def main():
    print(threading.enumerate(), asyncio.current_task(), len(asyncio.all_tasks()))
    print(await asyncio.to_thread(lambda: (threading.active_count(), threading.current_thread().name)))


asyncio.run(main())
import importlib

print(importlib.import_module("json").MINE, sys.modules["json"].__file__)
print([name for name in sorted(set(sys.modules)) if "looptop" in name and not name.startswith(OURS)])
