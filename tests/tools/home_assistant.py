"""Home Assistant on loopback: its REST interface, with a token, entities, areas and services.

Written from developers.home-assistant.io/docs/api/rest, and from the descriptions of the domains'
services. A template is rendered by Jinja, as there.
"""

from __future__ import annotations

import json
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import Namespace

from tests.tools.web import Asked, Reply

TOKEN = "eyJhbGciOiJIUzI1NiJ9.loopback.x"
UNAUTHORIZED = Reply(b"401: Unauthorized", 401)

_SERVICES = {
    "light": {"turn_on", "turn_off", "toggle"},
    "switch": {"turn_on", "turn_off", "toggle"},
    "input_boolean": {"turn_on", "turn_off", "toggle"},
    "fan": {"turn_on", "turn_off", "toggle", "set_percentage"},
    "cover": {"open_cover", "close_cover", "stop_cover", "toggle", "set_cover_position"},
    "climate": {"turn_on", "turn_off", "set_temperature", "set_hvac_mode"},
    "media_player": {
        "turn_on",
        "turn_off",
        "toggle",
        "media_play",
        "media_pause",
        "media_stop",
        "media_next_track",
        "media_previous_track",
        "volume_set",
    },
    "scene": {"turn_on"},
    "script": {"turn_on", "turn_off"},
    "vacuum": {"start", "stop", "pause", "return_to_base"},
    "lock": {"lock", "unlock"},
}
_OUTCOMES = {
    "turn_on": "on",
    "turn_off": "off",
    "open_cover": "open",
    "close_cover": "closed",
    "lock": "locked",
    "unlock": "unlocked",
    "start": "cleaning",
    "media_pause": "paused",
}
_FIELDS = {
    "brightness_pct": lambda value: 0 <= value <= 100,
    "color_name": lambda value: value in ("red", "blue", "lightskyblue"),
    "color_temp_kelvin": lambda value: 2000 <= value <= 6500,
    "percentage": lambda value: 0 <= value <= 100,
    "position": lambda value: 0 <= value <= 100,
    "volume_level": lambda value: 0 <= value <= 1,
    "temperature": lambda value: 5 <= value <= 35,
    "hvac_mode": lambda value: value in ("off", "heat", "cool", "auto", "dry", "fan_only"),
}


class House:
    """Answers as Home Assistant does; to be given to a `Web`."""

    def __init__(self) -> None:
        self.administrator = True
        """Whether the token is an administrator's, who may render templates."""
        self.called: list[tuple[str, dict[str, Any]]] = []
        """The services that were called, and with what."""
        self._states = {
            entity: {
                "entity_id": entity,
                "state": state,
                "attributes": {"friendly_name": name, **attributes},
                "last_changed": "2026-11-24T10:00:00+00:00",
                "context": {"id": "01J", "parent_id": None, "user_id": None},
            }
            for entity, name, state, attributes in (
                ("light.ceiling", "客厅吊灯", "off", {"supported_color_modes": ["hs"]}),
                ("light.floor", "落地灯", "on", {"brightness": 128}),
                ("light.desk", "Desk Lamp", "off", {}),
                ("switch.kettle", "Kettle", "off", {}),
                ("sensor.kettle_power", "Kettle Power", "0.0", {"unit_of_measurement": "W"}),
                ("sensor.bedroom", "卧室温度", "21.5", {"unit_of_measurement": "°C"}),
                ("cover.bedroom", "卧室窗帘", "open", {"current_position": 100}),
                (
                    "climate.bedroom",
                    "卧室空调",
                    "off",
                    {"temperature": 24, "current_temperature": 21},
                ),
                ("fan.desk", "Desk Fan", "off", {}),
                ("media_player.tv", "Television", "playing", {"media_title": "News"}),
                ("scene.movie", "Movie Night", "unknown", {}),
                ("script.goodnight", "Good Night", "off", {}),
                ("vacuum.robot", "Robot", "docked", {"battery_level": 90}),
                ("lock.door", "Front Door", "locked", {}),
                ("automation.x", "Automation", "on", {}),
            )
        }
        self._areas = {
            "light.ceiling": "客厅",
            "light.floor": "客厅",
            "light.desk": "Study",
            "fan.desk": "Study",
            "cover.bedroom": "卧室",
            "climate.bedroom": "卧室",
        }

    def answer(self, asked: Asked) -> Reply:
        """Answer a request."""
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return UNAUTHORIZED
        _, api, *rest = asked.path.split("/")
        assert api == "api"
        match (asked.method, *rest):
            case ("GET", "states"):
                return Reply(list(self._states.values()))
            case ("POST", "template"):
                return (
                    self._rendered(asked.json()["template"]) if self.administrator else UNAUTHORIZED
                )
            case ("POST", "services", domain, service):
                return self._call(domain, service, asked.json())
        return Reply(b"404: Not Found", 404)

    def _rendered(self, template: str) -> Reply:
        environment = SandboxedEnvironment()
        environment.filters["to_json"] = json.dumps
        environment.globals["area_name"] = self._areas.get
        states = [Namespace(entity_id=entity) for entity in self._states]
        try:
            text = environment.from_string(template).render(states=states)
        except TemplateError as error:
            return Reply({"message": f"Error rendering template: {error}"}, 400)
        return Reply(text.encode(), headers={"Content-Type": "text/plain; charset=utf-8"})

    def _call(self, domain: str, service: str, data: dict[str, Any]) -> Reply:
        given = {name: value for name, value in data.items() if name != "entity_id"}
        if service not in _SERVICES.get(domain, ()) or not all(
            _FIELDS[name](value) for name, value in given.items()
        ):
            return Reply({"message": "Service call is wrong."}, 400)
        self.called.append((f"{domain}.{service}", data))
        entities = data["entity_id"]
        changed = []
        for entity in [entities] if isinstance(entities, str) else entities:
            state = self._states[entity]
            assert entity.startswith(f"{domain}.")
            state["state"] = _OUTCOMES.get(service, state["state"])
            changed.append(state)
        return Reply(changed)
