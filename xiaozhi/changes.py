"""What differs between two configurations: keys only, since values may be secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from xiaozhi.choices import Chosen, Wish
from xiaozhi.settings import Config

LIVE: Final = frozenset(
    {
        "auth", "activation", "audio", "listen", "idle", "end_prompt", "assistant", "metrics",
        "mcp", "vad", "asr", "llm", "llm_by_mode", "tts", "memory", "tools", "vision",
        "manager-api",
        "log.format", "log.level", "log.max_message_length", "log.speech",
        "server.public_url", "server.trusted_proxies", "server.secret",
        "server.max_connections", "server.max_connections_per_address",
        "server.max_messages_per_second", "server.max_devices",
    }
)  # fmt: skip
"""Sections and keys that take effect while the server runs; the others need a restart."""


def changed(old: Config, new: Config) -> list[str]:
    """Tell the keys whose values differ, dotted, in the order of the settings.

    Engines are told by name, "asr.whisper.model"; "asr" alone if the list itself is another.
    """
    return list(_differences(old, new, ""))


def live(key: str) -> bool:
    """Say whether what stands under `key` takes effect while the server runs."""
    return key in LIVE or key.partition(".")[0] in LIVE


def _differences(old: Any, new: Any, key: str) -> Iterator[str]:
    if old == new:
        return
    if _is_engines(old) and _is_engines(new):
        if [one.called for one in old] != [one.called for one in new]:
            yield key
            return
        for before, after in zip(old, new, strict=True):
            yield from _differences(before.settings, after.settings, f"{key}.{after.called}")
    elif isinstance(new, msgspec.Struct) and type(old) is type(new) and not isinstance(new, Wish):
        for field in msgspec.structs.fields(new):
            path = f"{key}.{field.encode_name}" if key else field.encode_name
            yield from _differences(getattr(old, field.name), getattr(new, field.name), path)
    else:
        yield key


def _is_engines(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Chosen)
