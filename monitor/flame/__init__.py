"""Flame graphs: profiles as trees, differences of two, and what other tools read. Pure: no I/O, no terminal."""
