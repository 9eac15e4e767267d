"""Folds the frames of frameworks and asyncio between the user's own frames of a stack."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LEAST = 2
"""Fewest frames worth folding: one alone takes no more room than the line that replaces it."""

MOST_NAMED = 4
"""Most libraries that the line of a fold names."""

_PACKAGE = re.compile(r"/(?:site|dist)-packages/([^/]+)")
_STDLIB = re.compile(r"/lib(?:64)?/python3[^/]*/([^/]+)|^<frozen ([\w]+)")


@dataclass(frozen=True, slots=True)
class Fold:
    """Frames `begin` to `end` (exclusive) of a stack, none of them the user's."""

    begin: int
    end: int
    libraries: tuple[str, ...]  # in order of appearance, without repetition

    @property
    def text(self) -> str:
        """Return the line that replaces the frames: `14 frames of uvicorn, starlette, fastapi`."""
        named = ", ".join(self.libraries[:MOST_NAMED])
        more = ", …" if len(self.libraries) > MOST_NAMED else ""
        return f"{self.end - self.begin} frames of {named}{more}"


def library_of(file: str, stdlib: Sequence[str] = ()) -> str:
    """Return the import name of a file's library; empty for the user's own.

    `stdlib`: folders of the standard library.
    """
    package = _PACKAGE.search(file)
    if package is not None:
        return package[1].removesuffix(".py")
    root = next((root for root in stdlib if root and file.startswith(root)), None)
    if root is not None:
        return file[len(root) :].lstrip("/").partition("/")[0].removesuffix(".py")
    found = _STDLIB.search(file)
    return "" if found is None else (found[1] or found[2]).removesuffix(".py")


def own_frames(files: Sequence[str], stdlib: Sequence[str] = ()) -> list[int]:
    """Return which frames of a stack (outermost first) are the user's.

    If there are none (an application installed as a package), those of the innermost library outside the standard
    library count as the user's.
    """
    libraries = [library_of(file, stdlib) for file in files]
    if "" not in libraries:
        packages = [library for library, file in zip(libraries, files, strict=True) if _PACKAGE.search(file)]
        return [number for number, library in enumerate(libraries) if library in packages[-1:]]
    return [number for number, library in enumerate(libraries) if not library]


def folded(files: Sequence[str], stdlib: Sequence[str] = (), kept: Collection[int] = ()) -> list[int | Fold]:
    """Return the indexes of the frames to show of a stack (outermost first), and the folds between them.

    Shown are the user's frames, the innermost frame, and those in `kept`. A stack without frames of the user is not
    folded.
    """
    own = set(own_frames(files, stdlib))
    if not own:
        return list(range(len(files)))
    own.update(kept)
    own.add(len(files) - 1)
    result: list[int | Fold] = []
    begin = 0
    for number in [*sorted(own), len(files)]:
        if number - begin >= LEAST:
            names = dict.fromkeys(library_of(file, stdlib) for file in files[begin:number])
            result.append(Fold(begin, number, tuple(names)))
        else:
            result += range(begin, number)
        if number < len(files):
            result.append(number)
        begin = number + 1
    return result
