"""What there is in a house that Home Assistant knows, and what of it somebody means."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from xiaozhi.tools._matching import best, plain, ranked
from xiaozhi.tools._words import said

SURE: Final = 0.75
"""The likeness at which a name is taken for a thing's: the wrong lamp is worse than a question."""
_CALLED: Final = {
    "light": "灯 灯光 电灯 light lights lamp lamps",
    "switch": "开关 插座 switch switches plug plugs",
    "fan": "风扇 电扇 fan fans",
    "cover": "窗帘 卷帘 百叶窗 cover covers curtain curtains blind blinds shutters",
    "climate": "空调 暖气 climate thermostat heating air conditioner",
    "media_player": "播放器 电视 音箱 media players tv speaker speakers",
    "scene": "场景 scene scenes",
    "script": "脚本 script scripts",
    "vacuum": "扫地机 扫地机器人 vacuum robot",
    "lock": "门锁 锁 lock locks",
    "sensor": "传感器 sensor sensors",
}
"""What the domains are called."""
_ALL: Final = re.compile(
    r"^(?:所有的?|全部的?|全屋的?|all(?: of)?(?: the)?\b|every\b|the\b)\s*", re.IGNORECASE
)
_STATES: Final = {
    "on": ("开着", "on"),
    "off": ("关着", "off"),
    "open": ("开着", "open"),
    "opening": ("正在打开", "opening"),
    "closed": ("关着", "closed"),
    "closing": ("正在关闭", "closing"),
    "locked": ("锁着", "locked"),
    "unlocked": ("没锁", "unlocked"),
    "playing": ("正在播放", "playing"),
    "paused": ("暂停了", "paused"),
    "idle": ("空闲", "idle"),
    "standby": ("待机", "on standby"),
    "docked": ("在充电座上", "docked"),
    "cleaning": ("正在打扫", "cleaning"),
    "returning": ("正在返回", "returning"),
    "home": ("在家", "at home"),
    "not_home": ("不在家", "away"),
    "heat": ("正在制热", "heating"),
    "cool": ("正在制冷", "cooling"),
    "auto": ("自动", "on automatic"),
    "dry": ("正在除湿", "drying"),
    "fan_only": ("正在送风", "ventilating"),
    "unavailable": ("连不上", "unavailable"),
    "unknown": ("状态未知", "in an unknown state"),
}


@attrs.frozen
class Entity:
    """Something in the house."""

    id: str
    """`light.kitchen`."""
    name: str
    state: str
    attributes: Mapping[str, Any] = attrs.field(factory=dict)
    area: str = ""

    @property
    def domain(self) -> str:
        """What sort of thing it is."""
        return self.id.partition(".")[0]

    def names(self) -> Iterator[str]:
        """Yield what somebody may call it."""
        yield self.name
        if self.area:
            yield f"{self.area}{self.name}"
            for word in _CALLED.get(self.domain, "").split():
                yield f"{self.area}{word}"

    def told(self, language: str) -> str:
        """Say how it is."""
        words = _STATES.get(self.state)
        unit = str(self.attributes.get("unit_of_measurement") or "")
        state = said(language, *words) if words else f"{self.state}{unit}"
        return said(
            language, f"{self.name}{'' if words else '是'}{state}", f"{self.name} is {state}"
        )

    def line(self) -> str:
        """Write it on a line, for the model."""
        unit = str(self.attributes.get("unit_of_measurement") or "")
        where = f", {self.area}" if self.area else ""
        extras = "".join(
            f", {name.replace('_', ' ')} {self.attributes[name]}"
            for name in _TELLING
            if self.attributes.get(name) is not None
        )
        return f"{self.name} ({self.domain}{where}): {self.state}{unit}{extras}"


_TELLING: Final = (
    "current_temperature",
    "temperature",
    "hvac_action",
    "current_position",
    "percentage",
    "media_title",
    "battery_level",
)


@attrs.frozen
class Meant:
    """What somebody means."""

    entities: Sequence[Entity]
    """Several only if all of them are meant, or if `unclear`."""
    unclear: bool = False
    """Whether it may be any of them."""


def meant(name: str, area: str, entities: Sequence[Entity]) -> Meant:
    """Find what is called `name`; "lights", or "all lights", are all of them in the `area`.

    >>> meant("the lights", "", [Entity("light.a", "A", "on")]).entities[0].name
    'A'
    """
    if area:
        entities = within(area, entities)
    exact = [entity for entity in entities if name in (entity.id, entity.name)]
    if exact:
        return Meant(exact, unclear=len(exact) > 1)
    stripped = _ALL.sub("", name)
    if domain := domain_of(stripped):
        those = [entity for entity in entities if entity.domain == domain]
        the = name.casefold().startswith("the ")  # "the light" is one, if there is but one
        every = bool(area) or (stripped != name and not the) or plain(stripped).endswith("s")
        return Meant(those, unclear=len(those) > 1 and not every)
    named = ((one, entity) for entity in entities for one in entity.names())
    found = ranked(name, named, SURE)
    top = [entity for like, entity in found if like >= found[0][0] - 1e-6]
    return Meant(top, unclear=len(top) > 1)


def within(area: str, entities: Sequence[Entity]) -> Sequence[Entity]:
    """Tell what is in an `area`: by Home Assistant's areas, or by names that begin with it."""
    areas = {entity.area for entity in entities if entity.area}
    match = best(area, ((name, name) for name in sorted(areas)))
    sought = plain(area)
    return [
        entity
        for entity in entities
        if (match and entity.area == match) or (sought and sought in plain(entity.name))
    ]


def domain_of(word: str, domains: Collection[str] = ()) -> str:
    """Tell which domain somebody means by a `word`; "" if none."""
    word = plain(word)
    for domain, words in _CALLED.items():
        if word and (word == plain(domain) or word in words.split()):
            return domain
    return next((domain for domain in domains if plain(domain) == word), "")
