"""What a configuration asks for that is not there, and that the server can do without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from xiaozhi.choices import ENGINES, Wish
from xiaozhi.mistakes import Words, words
from xiaozhi.services import engine
from xiaozhi.settings import Config
from xiaozhi.wakewords import same

_LACKING: Final = {"llm": "no_model", "tts": "no_voice"}


def doubts(config: Config) -> Sequence[Words]:
    """Tell all of them; this looks at files."""
    settings = [one.settings for kind in engine.KINDS for one in getattr(config, kind)]
    return [*unfulfilled(config), *(doubt for one in settings for doubt in one.doubts())]


def unnamed(config: Config) -> Sequence[str]:
    """Tell which tools somebody has installed that are not used; this looks at files."""
    known = {*ENGINES["tools"], *(tool.name for tool in config.tools)}
    return [name for name in engine.installed("tools") if name not in known]


def unfulfilled(config: Config) -> Sequence[Words]:
    """Tell which models, voices and roles are named and will not be taken."""
    found = [
        words(_LACKING[kind], place=key, alias=wish.alias)
        for kind, key, wish in wishes(config)
        if wish.chosen is None
    ]
    names: list[str] = []
    for role in config.assistant.roles:
        if same(role.name, names):
            found.append(words("role_twice", name=role.name))
        names.append(role.name)
    return found


def wishes(config: Config) -> Iterator[tuple[str, str, Wish]]:
    """Yield who is wanted before the others: of which kind, by which key."""
    modes, roles = config.llm_by_mode, config.assistant.roles
    wanted = [
        *(("llm", f"llm_by_mode.{mode}", getattr(modes, mode)) for mode in modes.__struct_fields__),
        *(("llm", f"assistant.roles: {role.name}: model", role.model) for role in roles),
        *(("tts", f"assistant.roles: {role.name}: voice", role.voice) for role in roles),
    ]
    yield from ((kind, key, wish) for kind, key, wish in wanted if wish is not None)
