"""Samples of the stack of a thread while a callback runs in it: each counts for the time since the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from .callback_stack import Stack

    Sample = tuple[Stack, float, float]
    """A stack, the seconds it stands for, and when it was taken."""

MOST_SAMPLES = 1000
"""Most samples kept of one callback, which may never end."""


class Stretch(NamedTuple):
    """Consecutive samples of one callback: its code, when it ended, how long it took (s), stacks and their seconds."""

    code: CodeType
    ended: float
    duration: float
    samples: list[tuple[Stack, float]]


def keep(samples: list[Sample], sample: Sample) -> None:
    """Adds a sample. When there are too many, every second one is kept and also counts for the time of the other."""
    if len(samples) >= MOST_SAMPLES:
        pairs = zip(samples[::2], samples[1::2], strict=False)
        samples[:] = [(stack, before[1] + seconds, at) for before, (stack, seconds, at) in pairs]
    samples.append(sample)


def stretches(samples: list[Sample], answered: float, longest_rest: float) -> Iterator[Stretch]:
    """The callbacks that samples show which were taken until the loop answered: runs of the same outermost function.

    The last of them ended between the last sample and the answer, at most `longest_rest` after the sample.
    Samples without a frame above the loop are left out: the thread was idle, and something else, such as another
    thread with the GIL, delayed the answer.
    """
    begin = 0
    for index in range(1, len(samples) + 1):
        if index < len(samples) and _outermost(samples[index]) is _outermost(samples[begin]):
            continue
        stacks = [sample[:2] for sample in samples[begin:index]]
        code, ended = _outermost(samples[begin]), samples[index - 1][2]
        if index == len(samples):
            ended += min(answered - ended, longest_rest)
        duration = sum(seconds for _, seconds in stacks) + ended - samples[index - 1][2]
        if code is not None:
            yield Stretch(code, ended, duration, stacks)
        begin = index


def _outermost(sample: Sample) -> CodeType | None:
    return sample[0][0][0] if sample[0] else None
