"""Settings that several engines have in common: their types, bounds and explanations."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Silence = Annotated[float, Meta(description="Seconds the server may keep silent.", gt=0, le=300)]

Connect = Annotated[float, Meta(description="Seconds connecting may take.", gt=0, le=60)]

Known = Annotated[
    tuple[str, ...],
    Meta(description='Languages the model knows, or ["*"] for all.', min_length=1),
]

MaxTokens = Annotated[
    Annotated[int, Meta(ge=1)] | None,
    Meta(description="Longest answer, in tokens. Empty: up to the server."),
]

Temperature = Annotated[
    Annotated[float, Meta(ge=0, le=2)] | None,
    Meta(description="0 sober to 2 wild. Empty: up to the server."),
]
