"""Ask for a chat completion: one streamed answer at a time, as text and calls of tools."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

from xiaozhi.services.bridge import from_aio_stream
from xiaozhi.services.llm import Message, Piece
from xiaozhi.services.llm.deltas import Calls
from xiaozhi.services.llm.tooltext import Form, arguments, in_words, schema
from xiaozhi.services.openai_api import Client
from xiaozhi.services.openai_errors import BadAnswer, Declined
from xiaozhi.tooling import Tool, legal

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

_REFUSING: Final = frozenset({400, 404, 422, 501})
_OF_TOOLS: Final = re.compile(r"tool|function", re.IGNORECASE)
_OF_ONE: Final = re.compile(r"schema|parameters", re.IGNORECASE)


class Completions:
    """A model of one server, and how it takes tools."""

    log = Logger()

    def __init__(self, client: Client, model: str, form: Form, **options: float | None) -> None:
        """Ask `model`. `options` are parameters of a chat completion; None leaves one out."""
        self._client = client
        self._model = model
        self._form = form
        self._options = {name: value for name, value in options.items() if value is not None}

    def reply(
        self, messages: Sequence[Message], tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        """Yield the answer in pieces, an async generator; raises ServiceError."""
        return from_aio_stream(lambda: self._answer(messages, tools))

    async def _answer(
        self, messages: Sequence[Message], tools: Sequence[Tool]
    ) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of an answer. Belongs to asyncio."""
        async with self._client.asking(self._model) as api:
            # Leaving the stream's context closes the connection: that stops the generation.
            async with await self._asked(api, messages, tools) as chunks:
                calls, tells, reason = Calls(), False, None
                async for chunk in chunks:
                    for choice in _choices(chunk):
                        delta = getattr(choice, "delta", None)
                        content = getattr(delta, "content", None)
                        if content and isinstance(content, str):
                            yield content
                        for call in calls.add(delta):
                            yield call
                        tells = tells or "finish_reason" in getattr(choice, "model_fields_set", ())
                        reason = getattr(choice, "finish_reason", None) or reason
            if reason == "content_filter":
                raise Declined("its content filter would not let the answer pass")
            # A server whose chunks can tell why an answer is finished tells it in the last one.
            if tells and not reason:
                raise BadAnswer("the answer broke off")
            for call in calls.rest():
                yield call

    async def _asked(
        self, api: AsyncOpenAI, messages: Sequence[Message], tools: Sequence[Tool]
    ) -> AsyncStream[ChatCompletionChunk]:
        """Begin an answer; without tools, but in words, where the server refuses them."""
        import openai

        form = self._form
        request = _request(form, messages, tools)
        # What is in the body already is not looked through by the package, which takes it 0.15 ms
        # for each message.
        fixed: dict[str, Any] = {"model": self._model, "stream": True, "messages": ()}
        fixed |= self._options
        try:
            stream: AsyncStream[ChatCompletionChunk] = await api.chat.completions.create(
                **fixed, extra_body=request
            )
        except openai.APIStatusError as error:
            if form != "native" or not _has_tools(messages, tools) or not _refuses_tools(error):
                raise
            if not _OF_ONE.search(str(error)):  # it takes no tools, else it is one it cannot take
                self._form = "text"
                self.log.info("{model} takes no tools: told in words", model=self._model)
            request = _request("text", messages, tools)
            stream = await api.chat.completions.create(**fixed, extra_body=request)
        return stream


def _has_tools(messages: Sequence[Message], tools: Sequence[Tool]) -> bool:
    return bool(tools) or any(message.calls or message.call_id for message in messages)


def _refuses_tools(error: APIStatusError) -> bool:
    return error.status_code in _REFUSING and bool(_OF_TOOLS.search(str(error)))


def _choices(chunk: object) -> Sequence[object]:
    """Return the choice in a chunk, if there is one; BadAnswer if it is no chunk.

    The chunks are not checked by the package: usage chunks have no choices, and some servers
    leave fields out or set them to null.
    """
    from openai.types.chat import ChatCompletionChunk

    choices = chunk.choices or [] if isinstance(chunk, ChatCompletionChunk) else None
    if not isinstance(choices, list):
        raise BadAnswer("sent what is no chat completion")
    return choices[:1]


def _request(form: str, messages: Sequence[Message], tools: Sequence[Tool]) -> dict[str, Any]:
    """Write the conversation and the tools as the API has them."""
    if form != "native":
        words = in_words(messages, tools if form == "text" else ())
        return {"messages": [_message(message) for message in words]}
    request: dict[str, Any] = {"messages": [_message(message) for message in messages]}
    if tools:
        request["tools"] = [schema(tool) for tool in tools]
    return request


def _message(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.role == "tool":
        told["tool_call_id"] = message.call_id
    if message.calls:
        told["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": legal(call.name),
                    # Servers that read them back fail over what is no object.
                    "arguments": json.dumps(arguments(call), ensure_ascii=False),
                },
            }
            for call in message.calls
        ]
    return told
