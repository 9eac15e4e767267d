"""The strings and sites of a program by their numbers on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.model import Site

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.protocol import frames


UNKNOWN_LINE = Site("(unknown line)", 0, "")
"""Site number 0: a frame without a known line, or beyond the probe's limit of sites."""


MOST = 200_000
"""Limit of strings, and of sites. A probe keeps half as many."""

MOST_LETTERS = 64 << 20
"""Limit of characters in all strings."""


class Tables:
    """Filled by `static` frames. A number that never arrived, or did not fit, stands for nothing."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self.sites: list[Site] = []
        self._letters = 0

    def add(self, strings: frames.Strings | None, sites: frames.Sites | None) -> None:
        """Add entries, replacing those with the same numbers."""
        if strings is not None and 0 <= strings.from_ <= len(self.strings):
            self._letters -= sum(map(len, self.strings[strings.from_ :]))
            del self.strings[strings.from_ :]
            for text in strings.items[: MOST - strings.from_]:
                if self._letters + len(text) > MOST_LETTERS:
                    break
                self._letters += len(text)
                self.strings.append(text)
        if sites is not None and 0 <= sites.from_ <= len(self.sites):
            del self.sites[sites.from_ :]
            for file, line, function in sites.items[: MOST - sites.from_]:
                known = Site(self.string(file), line, self.string(function))
                self.sites.append(known if self.sites else UNKNOWN_LINE)

    def string(self, number: int) -> str:
        """Return the string with a number."""
        return self.strings[number] if 0 <= number < len(self.strings) else "?"

    def site(self, number: int) -> Site | None:
        """Return the site with a number; None for 0, the unknown site."""
        return self.sites[number] if 0 < number < len(self.sites) else None

    def stack(self, numbers: Iterable[int]) -> tuple[Site, ...]:
        """Return the sites with several numbers, skipping those that never arrived."""
        return tuple(self.sites[number] for number in numbers if 0 <= number < len(self.sites))


class TableEncoder:
    """The inverse: numbers of strings and sites. Those no longer in the tables are appended to them."""

    def __init__(self, tables: Tables) -> None:
        self.strings = list(tables.strings)
        self._strings = {text: number for number, text in reversed(list(enumerate(self.strings)))}
        self._sites = {site: number for number, site in reversed(list(enumerate(tables.sites)))}
        self.sites = [self._row(site) for site in tables.sites]

    def string(self, text: str) -> int:
        """Return the number of a string."""
        number = self._strings.get(text)
        if number is None:
            number = self._strings[text] = len(self.strings)
            self.strings.append(text)
        return number

    def site(self, site: Site | None) -> int:
        """Return the number of a site; 0 for None."""
        if site is None:
            return 0
        number = self._sites.get(site)
        if number is None:
            if not self.sites:
                self.sites.append(self._row(UNKNOWN_LINE))
            number = self._sites[site] = len(self.sites)
            self.sites.append(self._row(site))
        return number

    def stack(self, sites: Iterable[Site]) -> list[int]:
        """Return the numbers of several sites."""
        return [self.site(site) for site in sites]

    def _row(self, site: Site) -> tuple[int, int, int]:
        return (self.string(site.file), site.line, self.string(site.function))
