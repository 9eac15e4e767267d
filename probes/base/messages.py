"""The message of an exception as text."""

from __future__ import annotations

from types import WrapperDescriptorType

from .classes import IN_C, attribute_of, attributes_of, mro_of, qualname_of

MOST_TEXT = 500

_PLAIN = (str, int, float, bool, bytes, complex, type(None))
_IN_C = ("args", "errno", "strerror", "filename", "filename2", "name", "path", "msg", "object", "reason")
"""What the `__str__` of built-in exceptions write out."""


def message_of(error: BaseException, anywhere: bool = False) -> str:
    """The message of an exception, at most MOST_TEXT characters.

    `str` may run code of the program: the `__str__` of the exception, or of what it was raised with. So it is called in
    the thread of the program in which the exception was raised, as its own logging would do. `anywhere`: this is
    another thread, so only what runs no such code is read.

    Raises nothing but KeyboardInterrupt, which may be that of a user who presses Ctrl+C.
    """
    try:
        if anywhere and not _is_plain(error):
            return _of_arguments(error)
        return str.__getitem__(str(error), slice(MOST_TEXT))
    except KeyboardInterrupt:
        raise
    except BaseException as broken:
        return f"<str() of it failed with {type(broken).__name__}>"


def _is_plain(error: BaseException) -> bool:
    """Whether `str` runs no code of the program: `__str__` is in C, and everything that it may write out is plain."""
    if type(attribute_of(type(error), "__str__")) is not WrapperDescriptorType:
        return False
    return all(
        _is_plain_value(attributes_of(base)[name].__get__(error))
        for base in mro_of(type(error))
        for name in _IN_C
        if type(attributes_of(base).get(name)) in IN_C
    )


def _is_plain_value(value: object) -> bool:
    if type(value) is tuple:
        return all(type(each) in _PLAIN for each in value)
    return type(value) in _PLAIN


def _of_arguments(error: BaseException) -> str:
    """What an exception was raised with, as far as that can be written out without code of the program."""
    arguments = BaseException.__dict__["args"].__get__(error)
    if len(arguments) == 1 and type(arguments[0]) is str:
        return str(arguments[0][:MOST_TEXT])
    texts = [repr(each) if type(each) in _PLAIN else f"<{qualname_of(type(each))}>" for each in arguments[:20]]
    return ", ".join(texts)[:MOST_TEXT]
