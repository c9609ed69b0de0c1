"""Ask for a chat completion: one streamed answer at a time, as plain text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from xiaozhi.services.bridge import from_aio_stream
from xiaozhi.services.llm import Message
from xiaozhi.services.openai_api import Client
from xiaozhi.services.openai_errors import BadAnswer, Declined

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def stream(
    client: Client, messages: Sequence[Message], model: str, **options: float | None
) -> AsyncGenerator[str, None]:
    """Yield the answer in pieces, an async generator; raises ServiceError.

    `options` are parameters of a chat completion (`max_tokens`, `temperature`); None leaves
    one to the server.
    """
    request: dict[str, Any] = {name: v for name, v in options.items() if v is not None}
    request["messages"] = [
        {"role": message.role, "content": message.content} for message in messages
    ]
    request["model"] = model
    return from_aio_stream(lambda: _answer(client, request))


async def _answer(client: Client, request: dict[str, Any]) -> AsyncGenerator[str, None]:
    """Yield the pieces of an answer. Belongs to asyncio."""
    async with client.asking(request["model"]) as api, aclosing(_deltas(api, request)) as deltas:
        async for delta in deltas:
            yield delta


async def _deltas(api: AsyncOpenAI, request: dict[str, Any]) -> AsyncGenerator[str, None]:
    """Yield the texts of a completion's chunks; BadAnswer if one is no chunk, or there is no end.

    A server whose chunks can tell why an answer is finished tells it in the last one.
    """
    from openai.types.chat import ChatCompletionChunk

    tells, reason = False, None
    # Leaving the stream's context closes the connection: that stops the generation.
    async with await api.chat.completions.create(stream=True, **request) as chunks:
        async for chunk in chunks:
            # The chunks are not checked by the package: usage chunks have no choices, and some
            # servers leave fields out or set them to null.
            choices = chunk.choices or [] if isinstance(chunk, ChatCompletionChunk) else None
            if not isinstance(choices, list):
                raise BadAnswer("sent what is no chat completion")
            for choice in choices[:1]:
                content = getattr(getattr(choice, "delta", None), "content", None)
                if content and isinstance(content, str):
                    yield content
                tells = tells or "finish_reason" in getattr(choice, "model_fields_set", ())
                reason = getattr(choice, "finish_reason", None) or reason
    if reason == "content_filter":
        raise Declined("its content filter would not let the answer pass")
    if tells and not reason:
        raise BadAnswer("the answer broke off")
