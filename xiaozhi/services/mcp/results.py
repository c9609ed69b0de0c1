"""What a server answers to a call -> what the model is told, and the pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from xiaozhi.mcpvalues import is_shown
from xiaozhi.tooling import Outcome, Picture

LONGEST: Final = 16_000
"""Characters of a result that the model is told; of what is to be shown, all."""
PICTURES: Final = 4
"""Pictures of a result that are kept."""


def outcome(result: CallToolResult) -> Outcome:
    """Make an outcome of a result."""
    pictures: list[Picture] = []
    text = "\n".join(_texts(result.content, pictures))
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False)
    whole = is_shown(text)
    return Outcome(
        (text if whole else _cut(text)) or "(no text)",
        failed=result.is_error is True,
        pictures=tuple(pictures),
        whole=whole,
    )


def _texts(content: Any, pictures: list[Picture]) -> Iterator[str]:
    for part in content:
        match part:
            case TextContent():
                yield part.text
            case ImageContent():
                yield _pictured(part, pictures)
            case AudioContent():
                yield f"({part.mime_type}, which cannot be shown)"
            case ResourceLink():
                yield f"{part.name}: {part.uri}"
            case EmbeddedResource(resource=TextResourceContents(text=text)):
                yield text
            case EmbeddedResource():
                yield f"({part.resource.uri}, which is no text)"
            case _:
                yield "(a part that cannot be read)"


def _pictured(part: ImageContent, pictures: list[Picture]) -> str:
    """Keep a picture, and tell of it."""
    picture = Picture.read(part.mime_type, part.data)
    if picture is None:
        return "(a picture that cannot be read)"
    if len(pictures) >= PICTURES:
        return "(one more picture, which is left out)"
    pictures.append(picture)
    return f"(a picture, {part.mime_type})"


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n(cut here: the result has {len(text)} characters)"
