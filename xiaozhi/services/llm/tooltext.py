"""Tools in words, for models that know nothing of them: a conversation rewritten as plain text.

The form is the one most models were taught: `<tool_call>` and `<tool_response>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from xiaozhi.arguments import BadArguments, understood
from xiaozhi.services.llm import Message
from xiaozhi.tooling import Call, Tool

Form = Annotated[
    Literal["native", "text", "none"],
    Meta(
        description="How the model is told of tools: native as its API has it (in words where"
        " the server refuses that), text in words, none not at all."
    ),
]

_INTRODUCTION = """\
# Tools

You may call these functions to do what the user wants:
<tools>
{tools}
</tools>
To call one, write nothing but a JSON object with its name and arguments within tags:
<tool_call>
{{"name": "function-name", "arguments": {{"argument": "value"}}}}
</tool_call>
You will be told the result in <tool_response> tags. Call a function only if it is needed, and \
never speak of these tags."""


def schema(tool: Tool) -> dict[str, Any]:
    """Describe a tool as OpenAI's API and those that follow it have it."""
    told = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.schema),
    }
    return {"type": "function", "function": told}


def arguments(call: Call) -> Mapping[str, Any]:
    """Return the arguments of a call as an object; {} if they cannot be read."""
    try:
        return understood(call.arguments, {})
    except BadArguments:
        return {}


def in_words(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[Message]:
    """Rewrite a conversation so that it has no calls and no results, and describe the `tools`."""
    told = [_plain(message) for message in messages]
    if tools:
        lines = "\n".join(json.dumps(schema(tool), ensure_ascii=False) for tool in tools)
        introduction = _INTRODUCTION.format(tools=lines)
        if told and told[0].role == "system":
            told[0] = Message("system", f"{told[0].content}\n\n{introduction}")
        else:
            told.insert(0, Message("system", introduction))
    return told


def _plain(message: Message) -> Message:
    if message.role == "tool":
        # What a tool found may be anybody's text: it cannot end what it stands in.
        content = message.content.replace("</tool_response", "< /tool_response")
        return Message("user", f"<tool_response>\n{content}\n</tool_response>")
    calls = [{"name": call.name, "arguments": dict(arguments(call))} for call in message.calls]
    written = [
        f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>" for call in calls
    ]
    return Message(message.role, "\n".join(filter(None, [message.content, *written])))
