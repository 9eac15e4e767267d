"""The frames of the protocol as validated msgspec structs. No I/O.

Its modules do without `from __future__ import annotations`: msgspec would have to evaluate each annotation from its text,
2.5 ms of every start.
"""
