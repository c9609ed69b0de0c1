"""The lights and other things of a house, through Home Assistant's REST interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from twisted.application import service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.mistakes import Words, words
from xiaozhi.services import engine
from xiaozhi.services.fetching import Fetcher
from xiaozhi.services.http import address, checked
from xiaozhi.services.kept import Kept
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room
from xiaozhi.tools import _actions as actions
from xiaozhi.tools._house import Entity, Meant, domain_of, meant, within
from xiaozhi.tools._words import said, text

FRESH: Final = 3.0
"""Seconds for which things are taken to be as they were, unless we changed them."""
AREAS_FRESH: Final = 300.0
MOST: Final = 60
"""Things in a list for the model."""
READABLE: Final = (*actions.ALLOWED, "sensor", "binary_sensor", "lock", "person", "weather")
"""Domains whose states are told."""
_AREAS: Final = (
    "[{% for s in states if area_name(s.entity_id) %}"
    "{{ [s.entity_id, area_name(s.entity_id)] | to_json }}{{ ',' if not loop.last }}"
    "{% endfor %}]"
)
"""A template that makes JSON of which thing is where: the REST interface has no other way."""


_FROM_ENVIRONMENT: Final = "${HOME_ASSISTANT_TOKEN:-}"


class Settings(engine.Settings, frozen=True):
    """Settings of Home Assistant. Without `url` and `token` there are no tools for it."""

    url: Annotated[
        str, Meta(description="Address of Home Assistant, as in http://homeassistant.local:8123.")
    ] = "${HOME_ASSISTANT_URL:-}"
    token: Annotated[
        str, Meta(description="A long-lived access token, from your profile in Home Assistant.")
    ] = _FROM_ENVIRONMENT
    domains: Annotated[
        tuple[str, ...], Meta(description="What may be controlled. Locks are not, by default.")
    ] = actions.ALLOWED
    locks: Annotated[bool, Meta(description="Whether locks may be controlled by voice.")] = False
    timeout_s: Annotated[float, Meta(description="Seconds to wait for an answer.", gt=0, le=60)] = (
        8.0
    )

    def __post_init__(self) -> None:
        """Raise Mistake if the address is none."""
        if self.url:
            checked(self.url)

    def doubts(self) -> Sequence[Words]:
        """Tell that only one of address and token is set, if so."""
        if bool(self.url) != bool(self.token):
            return (words("lacking", place="tools.home", what="token" if self.url else "url"),)
        return ()


class _State(msgspec.Struct):
    entity_id: str
    state: str
    attributes: dict[str, Any] = {}


class Kit(service.Service):
    """The tools `home_list`, `home_state` and `home_control`."""

    log = Logger()

    def __init__(self, settings: Settings, room: Room) -> None:
        """Raise Unavailable if only one of address and token is set."""
        self.tools: Sequence[Tool] = ()
        self._pool = room.pool
        self._fetcher = Fetcher(
            room.reactor, room.pool, settings.timeout_s, largest=8 * 2**20, trust_env=False
        )
        self._states: Kept[Sequence[_State]] = Kept(room.reactor, FRESH)
        self._areas: Kept[Mapping[str, str]] = Kept(room.reactor, AREAS_FRESH)
        self._allowed = {name for name in settings.domains if name != "lock" or settings.locks}
        self._allowed |= {"lock"} if settings.locks else set()
        self._headers = {"Authorization": f"Bearer {settings.token}"}
        if settings.url and settings.token:
            if not settings.token.isascii() or not settings.token.isprintable():
                raise Unavailable("its token is none of Home Assistant's")
            self._url = address(settings.url, "url").rstrip("/")
            self.tools = self._offered(settings)
        elif settings.url or settings.token:
            lacking = "token" if settings.url else "url"
            raise Unavailable(
                f"Home Assistant needs a {lacking}, too", f"Home Assistant 还需要 {lacking}"
            )

    def stopService(self) -> Deferred[None]:
        """Close the connections."""
        super().stopService()
        self._states.stop()
        self._areas.stop()
        return self._fetcher.stop()

    def _offered(self, settings: Settings) -> Sequence[Tool]:
        patience = 3 * settings.timeout_s
        return (
            Tool("home_list", _LIST, self._list, _LIST_SCHEMA, patience=patience),
            Tool("home_state", _STATE, self._state, _STATE_SCHEMA, patience=patience),
            Tool(
                "home_control",
                _CONTROL,
                self._control,
                _CONTROL_SCHEMA,
                alone=True,
                patience=patience,
            ),
        )

    async def _list(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        area, domain = text(arguments, "area"), text(arguments, "domain")
        entities = await self._pool.run(_sorted_out, await self._entities(), area, domain)
        lines = [entity.line() for entity in entities[:MOST]]
        if (more := len(entities) - MOST) > 0:
            lines.append(f"and {more} more: ask by area or domain")
        comma = said(scene.language, "，", ", ")
        spoken = comma.join(entity.told(scene.language) for entity in entities[:8])
        nothing = said(scene.language, "没有找到设备", "I found nothing")
        return Outcome(
            "\n".join(lines) or "there is nothing of the sort",
            (spoken or nothing) + said(scene.language, "。", "."),
        )

    async def _state(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        name = text(arguments, "entity")
        found = await self._meant(name, text(arguments, "area"), await self._entities())
        if problem := _unclear(name, found, scene.language):
            return problem
        return Outcome(
            "\n".join(entity.line() for entity in found.entities),
            said(scene.language, "，", ", ").join(
                entity.told(scene.language) for entity in found.entities[:8]
            )
            + said(scene.language, "。", "."),
        )

    async def _control(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        name, action = text(arguments, "entity"), text(arguments, "action")
        if action not in actions.ACTIONS:
            raise ServiceError("tool", f"action must be one of {', '.join(actions.ACTIONS)}")
        able = [entity for entity in await self._entities() if entity.domain in self._allowed]
        found = await self._meant(name, text(arguments, "area"), able)
        if problem := _unclear(name, found, scene.language):
            return problem
        domain = found.entities[0].domain
        wanted = actions.service(domain, action, arguments)
        if wanted is None:
            return Outcome(
                f"a {domain} cannot do {action!r}",
                said(
                    scene.language,
                    f"{found.entities[0].name}做不到。",
                    f"{found.entities[0].name} cannot do that.",
                ),
                failed=True,
            )
        ids = [entity.id for entity in found.entities]
        self._states.drop()
        try:
            await self._fetcher.json(
                list[Any],
                f"{self._url}/api/services/{domain}/{wanted.name}",
                headers=self._headers,
                json={"entity_id": ids if len(ids) > 1 else ids[0], **wanted.data},
            )
        finally:
            self._states.drop()  # whatever came of it
        names = said(scene.language, "、", ", ").join(entity.name for entity in found.entities[:8])
        return Outcome(
            f"done: {domain}.{wanted.name} for {', '.join(ids)}",
            said(scene.language, f"好的，{names}已经设置好了。", f"Done: {names}."),
            final=True,
        )

    async def _entities(self) -> Sequence[Entity]:
        """Tell what there is in the house; raise ServiceError."""
        states = (await self._states.get("", self._get_states)).value
        areas = (await self._areas.get("", self._get_areas)).value
        return await self._pool.run(_made, states, areas)

    def _meant(self, name: str, area: str, entities: Sequence[Entity]) -> Deferred[Meant]:
        """Find what is meant, in a thread: houses have thousands of things."""
        return self._pool.run(meant, name, area, entities)

    async def _get_states(self) -> Sequence[_State]:
        return await self._fetcher.json(
            list[_State], f"{self._url}/api/states", headers=self._headers
        )

    async def _get_areas(self) -> Mapping[str, str]:
        """Tell where each thing is. Templates are for administrators; others go without."""
        try:
            pairs = await self._fetcher.json(
                list[tuple[str, str]],
                f"{self._url}/api/template",
                headers=self._headers,
                json={"template": _AREAS},
            )
        except ServiceError as error:
            self.log.info("no areas of Home Assistant: {why}", why=error.why)
            return {}
        return dict(pairs)


def _made(states: Sequence[_State], areas: Mapping[str, str]) -> Sequence[Entity]:
    """Leave out what is no business of a voice."""
    return [
        Entity(
            state.entity_id,
            str(state.attributes.get("friendly_name") or state.entity_id),
            state.state,
            state.attributes,
            areas.get(state.entity_id, ""),
        )
        for state in states
        if state.entity_id.partition(".")[0] in READABLE
    ]


def _sorted_out(entities: Sequence[Entity], area: str, domain: str) -> Sequence[Entity]:
    """Tell those of a domain in an area, as far as these are given."""
    if domain:
        domain = domain_of(domain, READABLE)
        entities = [entity for entity in entities if entity.domain == domain]
    return within(area, entities) if area else entities


def _unclear(name: str, found: Meant, language: str) -> Outcome | None:
    """Ask back if nothing is meant, or if it may be several things."""
    if not found.entities:
        return Outcome(
            f"there is nothing called {name!r} that may be used: see home_list",
            said(language, f"没有找到{name}。", f"I cannot find {name}."),
            failed=True,
        )
    if found.unclear:
        names = [f"{entity.name} ({entity.id})" for entity in found.entities[:8]]
        spoken = said(language, "、", ", ").join(entity.name for entity in found.entities[:4])
        return Outcome(
            f"{name!r} may be any of these: {', '.join(names)}",
            said(language, f"你是说哪一个：{spoken}？", f"Which one do you mean: {spoken}?"),
            failed=True,
        )
    return None


_ENTITY: Final = {
    "type": "string",
    "description": 'Its name, or its id; or "all lights" and the like.',
}
_AREA: Final = {"type": "string", "description": "A room, if one was said."}
_LIST = "What there is in the house, and how it is: lights, switches, curtains, sensors."
_LIST_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "area": _AREA,
        "domain": {"type": "string", "description": 'What sort of thing: "light", "sensor".'},
    },
}
_STATE = "How one thing in the house is: on or off, how warm."
_STATE_SCHEMA: Final = {
    "type": "object",
    "properties": {"entity": _ENTITY, "area": _AREA},
    "required": ["entity"],
}
_CONTROL = "Control something in the house."
_CONTROL_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "entity": _ENTITY,
        "area": _AREA,
        "action": {"type": "string", "enum": list(actions.ACTIONS)},
        "value": {
            "type": ["number", "string"],
            "description": "For `set`: brightness, position, speed or volume in per cent; a "
            "temperature; a colour; or how to condition the air: heat, cool, dry, auto.",
        },
    },
    "required": ["entity", "action"],
}
