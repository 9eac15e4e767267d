"""What page faults cost here: measured once, when many of them slow a callback down for the first time."""

from __future__ import annotations

from time import perf_counter

PAGE = 4096
PAGES = 256
MANY = 2000
"""Page faults of a callback from which on they are worth a figure: 1 to 5 ms."""

_cost: float | None = None


def seconds(faults: int) -> float:
    """An estimate of how long so many faults took that memory answered; 0.0 for few. Used by the probe's thread."""
    global _cost
    if faults < MANY:
        return 0.0
    if _cost is None:
        _cost = measure()
    return faults * _cost


def measure() -> float:
    """Seconds that a fault takes: fresh memory is touched, page by page. Takes less than a millisecond."""
    import mmap  # only where it is needed

    with mmap.mmap(-1, PAGE * PAGES) as fresh:
        begun = perf_counter()
        for place in range(0, PAGE * PAGES, PAGE):
            fresh[place] = 1
        touched = perf_counter()
        for place in range(0, PAGE * PAGES, PAGE):
            fresh[place] = 1
        again = perf_counter() - touched
    return max(touched - begun - again, 0.0) / PAGES
