"""The rules of the static analysis as one table: message, reason, and the replacement for each Python version.

Versions are those of the "What's new" pages and of the deprecation notes in asyncio's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass

Version = tuple[int, int]

OLDEST: Version = (3, 5)
"""Earlier versions have no `async def`, so there is nothing to suggest."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding."""

    code: str
    name: str
    why: str
    fixes: tuple[tuple[Version, str], ...]
    """Replacements by the first Python version that supports them; the last that applies is used."""
    gone: Version | None = None
    """The Python version in which the line started to raise an error when executed."""
    ruff: str = ""
    """The equivalent rule of ruff."""

    def fix(self, python: Version) -> str:
        """The replacement on that Python."""
        return next((text for since, text in reversed(self.fixes) if since <= python), self.fixes[0][1])

    def level(self, python: Version) -> str:
        """`error` if that Python rejects the line, else `warning`."""
        return "error" if self.gone is not None and python >= self.gone else "warning"


_ALL = (
    Rule(
        "LT00",
        "syntax-error",
        "not valid syntax for this Python",
        ((OLDEST, "fix it, or run looptop with the Python version that the file is for"),),
        gone=OLDEST,
    ),
    Rule(
        "LT01",
        "asyncio-coroutine-decorator",
        "@asyncio.coroutine is deprecated since 3.8 and gone since 3.11",
        ((OLDEST, "async def, with await instead of yield from"),),
        gone=(3, 11),
    ),
    Rule(
        "LT02",
        "generator-coroutine",
        "a generator is used as a coroutine: asyncio shows no name for it, and `yield from` of a coroutine is a "
        "TypeError outside of @types.coroutine",
        ((OLDEST, "async def, with await instead of yield from"),),
    ),
    Rule(
        "LT03",
        "loop-argument",
        "the argument loop= is deprecated since 3.8 and gone since 3.10",
        ((OLDEST, "omit it: the running loop is used"),),
        gone=(3, 10),
    ),
    Rule(
        "LT04",
        "ensure-future-of-coroutine",
        "ensure_future is for objects that may already be futures; for a coroutine it is an obscure create_task, and "
        "outside a running loop it uses whichever loop is set",
        ((OLDEST, "loop.create_task(…)"), ((3, 7), "asyncio.create_task(…)")),
    ),
    Rule(
        "LT05",
        "get-event-loop-outside-coroutine",
        "without a running loop, get_event_loop is deprecated since 3.12 and a RuntimeError since 3.14",
        (
            (OLDEST, "asyncio.new_event_loop() once, and pass the loop on"),
            ((3, 7), "asyncio.run(main()) at the top, asyncio.get_running_loop() below it"),
            (
                (3, 11),
                "asyncio.run(main()) at the top or asyncio.Runner for several calls, get_running_loop() below it",
            ),
        ),
    ),
    Rule(
        "LT06",
        "wait-on-coroutines",
        "asyncio.wait takes tasks and futures; coroutines are deprecated since 3.8 and a TypeError since 3.11, "
        "and the coroutines themselves never appear in `done`",
        (
            (OLDEST, "asyncio.wait([loop.create_task(one()), …])"),
            ((3, 7), "asyncio.wait([asyncio.create_task(one()), …])"),
            ((3, 11), "asyncio.wait([asyncio.create_task(one()), …]), or a TaskGroup to wait for all"),
        ),
        gone=(3, 11),
    ),
    Rule(
        "LT07",
        "task-class-methods",
        "Task.all_tasks and Task.current_task are deprecated since 3.7 and gone since 3.9",
        (
            (OLDEST, "Task.all_tasks(loop), with an explicit loop"),
            ((3, 7), "asyncio.all_tasks(), asyncio.current_task()"),
        ),
        gone=(3, 9),
    ),
    Rule(
        "LT08",
        "coroutine-wrapper",
        "sys.set_coroutine_wrapper is deprecated since 3.7 and gone since 3.8",
        ((OLDEST, "remove it"), ((3, 7), "sys.set_coroutine_origin_tracking_depth(depth), or asyncio's debug mode")),
        gone=(3, 8),
    ),
    Rule(
        "LT09",
        "asyncio-async",
        "asyncio.async is deprecated since 3.4.4; `async` is a keyword since 3.7, so the file cannot even be parsed",
        ((OLDEST, "asyncio.ensure_future(…)"), ((3, 7), "asyncio.create_task(…)")),
        gone=(3, 7),
    ),
    Rule(
        "LT10",
        "task-not-kept",
        "nothing references the task: a loop holds its tasks weakly, so it may be garbage-collected before it ends, "
        "and its exception is reported late or never",
        (
            (OLDEST, "keep it in a set until it is done: tasks.add(task); task.add_done_callback(tasks.discard)"),
            ((3, 11), "async with asyncio.TaskGroup() as group, or keep it in a set until it is done"),
        ),
        ruff="RUF006",
    ),
    Rule(
        "LT11",
        "coroutine-not-awaited",
        "the coroutine is created but never awaited, so it does not run",
        ((OLDEST, "await it, or create a task from it and keep the task"),),
    ),
    Rule(
        "LT12",
        "lost-update",
        "shared state is read before an await and written after it, without a lock: updates that other tasks made "
        "in between are lost",
        ((OLDEST, "hold a lock around both (async with), or read it again after the await"),),
    ),
)

RULES: dict[str, Rule] = {rule.code: rule for rule in _ALL}
