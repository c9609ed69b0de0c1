"""Have a conversation fit into the context of a model, which else drops what it pleases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from xiaozhi.services.llm import Message
from xiaozhi.services.llm.tooltext import Form, in_words, schema
from xiaozhi.tooling import Tool

BYTES: Final = 3
"""Of a token of text; most have more."""
JSON_BYTES: Final = 4
"""Of a token of JSON, as tools are described in."""
LEAST: Final = 32
"""Tokens of what a tool has said that a model is told, however little room there is."""


def fitting(
    messages: Sequence[Message], tokens: int, form: Form = "none", tools: Sequence[Tool] = ()
) -> Sequence[Message]:
    """Leave out the oldest messages so that about `tokens` remain, with the `tools` in that form.

    What the system says is kept, and all from the last question on; if that is too long, what
    tools have said since is cut. Of what is older, the result of a call goes with the call.
    """
    if form == "native":
        tokens -= sum(len(msgspec.json.encode(schema(tool))) // JSON_BYTES for tool in tools)
    elif form == "text":
        tokens -= sum(map(_cost, in_words((), tools)))
    asked = (number for number, message in enumerate(messages) if message.role == "user")
    question = max(asked, default=len(messages) - 1)
    spare = tokens - sum(_cost(message) for message in messages if message.role == "system")
    last = _cut(messages[question:], spare)
    spare -= sum(_cost(message) for message in last if message.role != "system")
    kept: list[Message] = []
    full = False
    for message in reversed(messages[:question]):
        if message.role != "system":
            spare -= _cost(message)
            full = full or spare < 0
        if message.role == "system" or not full:
            kept.append(message)
    kept = [*reversed(kept), *last]
    begins = next((n for n, m in enumerate(kept) if m.role not in ("system", "tool")), 0)
    return [m for n, m in enumerate(kept) if n >= begins or m.role == "system"]


def _cut(messages: Sequence[Message], tokens: int) -> Sequence[Message]:
    """Cut what tools have said so that all has about so many tokens, each to its share of them."""
    results = [message for message in messages if message.role == "tool"]
    over = sum(_cost(message) for message in messages if message.role != "system") - tokens
    if over <= 0 or not results:
        return messages
    left = sum(_tokens(message.content) for message in results) - over
    most = max(left // len(results), LEAST) * BYTES

    def shortened(message: Message) -> Message:
        content = message.content.encode()
        if message.role != "tool" or len(content) <= most:
            return message
        return message._replace(content=content[: most - BYTES].decode(errors="ignore") + "…")

    return [shortened(message) for message in messages]


def _cost(message: Message) -> int:
    """Estimate a message's tokens, rather too many, and some around it."""
    return _tokens(message.content) + sum(_tokens(str(call)) for call in message.calls) + 8


def _tokens(text: str) -> int:
    return len(text.encode()) // BYTES
