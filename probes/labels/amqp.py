"""Labels messages of RabbitMQ by exchange and routing key, for consumers of aiormq, aio-pika and FastStream.

aiormq makes a task for each delivered message; aio-pika makes a second one for the callback, whose argument is the
message. FastStream consumes through aio-pika.
"""

from __future__ import annotations

from gc import get_referents
from typing import Any

from . import paths

NAME = "amqp"


def _message(coro: Any) -> Any:
    """A delivery that the coroutine refers to, as aiormq has it."""
    for one in get_referents(coro):
        kind = type(one)
        if kind.__name__ == "DeliveredMessage" and kind.__module__.startswith(("aiormq.", "pamqp.")):
            return one
        if kind.__name__.endswith("IncomingMessage") and kind.__module__.startswith("aio_pika."):
            return one
    return None


def matches(coro: Any) -> bool:
    """Whether tasks of its code take a message."""
    return _message(coro) is not None


def source(coro: Any) -> tuple[str, str] | None:
    """Exchange and routing key."""
    message = _message(coro)
    delivery = getattr(message, "delivery", None) or message  # an aio-pika message has both itself
    exchange, key = getattr(delivery, "exchange", ""), getattr(delivery, "routing_key", "")
    return (str(exchange or ""), str(key or "")) if message is not None else None


def read(names: tuple[str, str]) -> str | None:
    """`consume exchange:routing.key`; for the default exchange only the routing key, which names the queue."""
    exchange, key = names
    folded = paths.folded(key.replace(".", "/")).replace("/", ".") if key else ""
    return f"consume {exchange}:{folded}" if exchange else f"consume {folded}"
