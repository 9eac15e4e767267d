"""Conversion between the store's structs and those of the protocol: one generic pass in either direction.

A field that both sides have under one name is converted by its two types:

* `float` and `Microseconds`: seconds and microseconds
* `str` and `Int`: a string and its number in the tables
* `Site` and `Int`, `tuple[Site, ...]` and `Stack`: lines of code and their numbers in the tables
* two structs: field by field
* `tuple` or `frozenset` and `list`; everything else is the same on both sides

If only one side may be None, the other has 0 or an empty text in its place.
"""

from __future__ import annotations

from functools import cache, cached_property
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from monitor.protocol.rows import SECOND, Microseconds, us
from monitor.store.model import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.store.tables import TableEncoder, Tables

    Encode = Callable[[Any, TableEncoder], Any]
    Decode = Callable[[Any, Tables], Any]

Model = TypeVar("Model", bound=msgspec.Struct)
Wire = TypeVar("Wire", bound=msgspec.Struct)


class Conversion(NamedTuple):
    """How a value is converted; None if it is the same on both sides."""

    encode: Encode | None = None
    decode: Decode | None = None


SAME = Conversion()


class Codec(Generic[Model, Wire]):
    """Converts between a struct of the store and one of the protocol.

    `names` maps fields of the store's to fields of the protocol's with another name. The caller passes fields that only
    one side has, unless they have a default.
    """

    def __init__(self, model: type[Model], wire: type[Wire], **names: str) -> None:
        self._model, self._wire, self._names = model, wire, names

    @cached_property
    def _fields(self) -> list[tuple[str, str, Conversion]]:
        """Field in the store, field in the protocol, conversion."""
        model, wire = hints(self._model), hints(self._wire)
        pairs = [(name, self._names.get(name, name)) for name in self._model.__struct_fields__]
        return [(ours, theirs, conversion(model[ours], wire[theirs])) for ours, theirs in pairs if theirs in wire]

    def encode(self, value: Model, numbers: TableEncoder, **given: Any) -> Wire:
        """Return the struct of the protocol. `given`: fields that are not converted."""
        for ours, theirs, (encode, _) in self._fields:
            if theirs not in given:
                found = getattr(value, ours)
                given[theirs] = found if encode is None else encode(found, numbers)
        return self._wire(**given)

    def decode(self, value: Any, tables: Tables, **given: Any) -> Model:
        """Return the struct of the store. `given`: fields that are not converted. Accepts any with the same fields."""
        for ours, theirs, (_, decode) in self._fields:
            if ours not in given:
                found = getattr(value, theirs)
                given[ours] = found if decode is None else decode(found, tables)
        return self._model(**given)


def hints(of: type[Any]) -> dict[str, Any]:
    """Return the types of the fields of a struct."""
    return _hints(of)  # type: ignore[arg-type]  # a class is hashable


@cache
def _hints(of: Any) -> dict[str, Any]:
    return get_type_hints(of, include_extras=True)


def conversion(model: Any, wire: Any) -> Conversion:
    """Return the conversion between two types of fields. Reading types is slow: cache the result."""
    (ours, our_none), (theirs, their_none) = _without_none(model), _without_none(wire)
    encode, decode = found = _of_types(ours, theirs)
    if ours is Site or (our_none == their_none and (not our_none or found is SAME)):
        return found  # the tables have a number for an unknown site
    if our_none and their_none:
        assert encode is not None
        assert decode is not None
        return Conversion(
            lambda value, numbers: None if value is None else encode(value, numbers),
            lambda value, tables: None if value is None else decode(value, tables),
        )
    if our_none:
        empty = _plain(theirs)()
        return Conversion(
            lambda value, numbers: empty if value is None else value if encode is None else encode(value, numbers),
            lambda value, tables: (value if decode is None else decode(value, tables)) or None,
        )
    nothing = _plain(theirs)()
    return Conversion(
        encode, lambda value, tables: (value or nothing) if decode is None else decode(value or nothing, tables)
    )


def _of_types(model: Any, wire: Any) -> Conversion:
    if model is float and wire == Microseconds:
        return Conversion(lambda value, _: us(value), lambda value, _: value * SECOND)
    if model is Site:
        return Conversion(lambda site, numbers: numbers.site(site), lambda number, tables: tables.site(number))
    if model == tuple[Site, ...]:
        return Conversion(lambda stack, numbers: numbers.stack(stack), lambda stack, tables: tables.stack(stack))
    if model is str and _plain(wire) is int:
        return Conversion(lambda text, numbers: numbers.string(text), lambda number, tables: tables.string(number))
    if model is not wire and _is_struct(model) and _is_struct(wire):
        nested: Codec[Any, Any] = Codec(model, wire)
        return Conversion(nested.encode, nested.decode)
    kind = get_origin(model)
    if kind is frozenset:
        return Conversion(lambda values, _: sorted(values), lambda values, _: frozenset(values))
    if kind is tuple and _plain(wire) is list:
        return _of_sequence(get_args(model)[0], get_args(_plain_alias(wire))[0])
    return SAME


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _of_sequence(model: Any, wire: Any) -> Conversion:
    encode, decode = conversion(model, wire)
    if encode is None or decode is None:
        return Conversion(lambda values, _: list(values), lambda values, _: tuple(values))
    return Conversion(
        lambda values, numbers: [encode(value, numbers) for value in values],
        lambda values, tables: tuple(decode(value, tables) for value in values),
    )


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    known = [each for each in get_args(hint) if each is not NoneType]
    return (known[0], True) if len(known) == 1 else (hint, True)


def _plain_alias(hint: Any) -> Any:
    """Return a type without its bounds: `list[Int]` for `Stack`."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _plain(hint: Any) -> Any:
    """Return the class of a type: `list` for `Stack`, `int` for `Int`."""
    alias = _plain_alias(hint)
    return get_origin(alias) or alias
