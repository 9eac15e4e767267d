"""Installs the probe in a program that `looptop run` starts, before its first line, and removes its own traces.

Python imports a module of this name when it starts (site.py), so `__main__`, arguments, tracebacks and exit status are
those of a normal start. Every change that led Python here is undone before the program begins; with `run --children`
only in the children that the program starts with `multiprocessing`, and they are watched, too.
"""


def _boot() -> None:
    import os
    import sys

    here = os.path.dirname(os.path.abspath(__file__))
    plan = os.environ.pop("LOOPTOP_BOOT", None)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)
    sys.modules.pop("sitecustomize", None)
    before = set(sys.modules)
    settings: dict[str, object] = {}
    if plan is not None:
        import json

        try:
            plan = json.loads(plan)
            settings = plan.get("settings") or {}
            pythonpath = plan.get("pythonpath")
            children = plan.get("children")
            if children is not None:  # settings of their probes: PYTHONPATH stays, and leads them here
                following = {"pythonpath": pythonpath, "settings": children, "child": True}
                os.environ["LOOPTOP_BOOT"] = json.dumps(following)
            elif pythonpath is None:
                os.environ.pop("PYTHONPATH", None)
            else:
                os.environ["PYTHONPATH"] = pythonpath
        except Exception as error:
            sys.stderr.write(f"looptop: LOOPTOP_BOOT is broken: {error}\n")
            plan = None
    words = getattr(sys, "orig_argv", ())
    forkserver = any("from multiprocessing.forkserver import main" in word for word in words)
    worker = forkserver or "--multiprocessing-fork" in words
    if plan is not None and plan.get("child") and not worker:  # a tool that the program runs, say
        plan = None
    if plan is not None and sys.version_info >= (3, 11):
        (_load_in_children if forkserver else _load)(os.path.dirname(here), settings)
    elif plan is not None:
        version = sys.version.split()[0]
        sys.stderr.write(f"looptop: Python {version} runs the program without a probe, which needs 3.11\n")
    # A module that asyncio does not load anyway may have the name of one of the program's (json.py).
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("json", "_json"):
            del sys.modules[name]


def _load_in_children(package: str, settings: dict[str, object]) -> None:
    """Leaves the fork server of `multiprocessing` alone, and loads the package in each process that it forks."""
    import logging  # noqa: F401 - it calls what is to run after a fork; if registered later, it would end the new probe
    import os
    import sys

    server = os.getpid()

    def after_fork() -> None:
        if os.getppid() != server:  # a process that one of them forks
            return
        try:
            _load(package, settings)
        except Exception as error:
            sys.stderr.write(f"looptop: process {os.getpid()} has no probe: {error}\n")

    os.register_at_fork(after_in_child=after_fork)


def _load(package: str, settings: dict[str, object]) -> None:
    """Loads the package under a private name: the program may have a `probes` of its own."""
    import sys
    from importlib.util import module_from_spec, spec_from_file_location

    name = "_looptop_probes"
    spec = spec_from_file_location(name, package + "/__init__.py", submodule_search_locations=[package])
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    module.install(**settings)


def _users_own() -> bool:
    """Imports the sitecustomize that Python would have imported otherwise; False if there is none."""
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        return False
    return True


_boot()
if not _users_own():
    # site.py takes this for "there is none", and the import system removes this module again.
    raise ImportError("no sitecustomize but looptop's, which is done", name="sitecustomize")
