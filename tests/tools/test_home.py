"""The house, against Home Assistant's REST interface on loopback."""

from __future__ import annotations

from typing import Any

from tests.tools.cases import Failures, ToolCase, call, failure, tool
from tests.tools.home_assistant import TOKEN, House
from tests.tools.web import FAULTS, Web
from xiaozhi.errors import Unavailable
from xiaozhi.tooling import Outcome
from xiaozhi.tools import _actions as actions
from xiaozhi.tools.home import AREAS_FRESH, FRESH, Kit, Settings


class HomeTests(Failures, ToolCase):
    def made(self, timeout_s: float = 5.0, **settings: Any) -> tuple[Kit, Web]:
        self.house = House()
        web = self.web(self.house.answer)
        chosen: Any = {"url": web.url + "/", "token": TOKEN, "timeout_s": timeout_s, **settings}
        return self.started(Kit(Settings(**chosen), self.room)), web

    async def ask(self, kit: Kit) -> Outcome:
        return await call(kit, "home_list", self.en)

    async def test_list(self) -> None:
        """The model is told what there is; not what is no business of a voice."""
        kit, _ = self.made()
        lines = (await self.ask(kit)).text.splitlines()
        self.assertIn("客厅吊灯 (light, 客厅): off", lines)
        self.assertIn("卧室温度 (sensor): 21.5°C", lines)
        self.assertIn(
            "卧室空调 (climate, 卧室): off, current temperature 21, temperature 24", lines
        )
        self.assertNotIn("Automation", " ".join(lines))

    async def test_list_some(self) -> None:
        """A list is of an area or of a domain, in the words of either language."""
        kit, _ = self.made()
        for arguments, said in (
            ({"area": "客厅", "domain": "灯"}, "客厅吊灯关着，落地灯开着。"),
            ({"area": "卧室", "domain": "sensor"}, "卧室温度是21.5°C。"),
            ({"domain": "lock"}, "Front Door锁着。"),
            ({"area": "garage"}, "没有找到设备。"),
        ):
            self.assertEqual((await call(kit, "home_list", self.zh, **arguments)).say, said)
        english = await call(kit, "home_list", self.en, area="study")
        self.assertEqual(english.say, "Desk Lamp is off, Desk Fan is off.")

    async def test_state(self) -> None:
        """One thing is told by its name, however exactly that was said."""
        kit, _ = self.made()
        for name, said in (
            ("客厅的吊灯", "客厅吊灯关着。"),
            ("卧室温度", "卧室温度是21.5°C。"),
            ("卧室空调", "卧室空调关着。"),
        ):
            self.assertEqual((await call(kit, "home_state", self.zh, entity=name)).say, said)
        for name, said in (
            ("the kettle", "Kettle is off."),
            ("television", "Television is playing."),
            ("lock.door", "Front Door is locked."),
        ):
            self.assertEqual((await call(kit, "home_state", self.en, entity=name)).say, said)

    async def test_control(self) -> None:
        """Each domain's service is called as Home Assistant has it."""
        kit, _ = self.made(locks=True)
        for entity, action, value, service, data in (
            ("客厅吊灯", "on", None, "light.turn_on", {}),
            ("吊灯", "off", None, "light.turn_off", {}),
            ("desk lamp", "set", "40%", "light.turn_on", {"brightness_pct": 40}),
            ("desk lamp", "set", "红色", "light.turn_on", {"color_name": "red"}),
            ("desk lamp", "set", "Warm white", "light.turn_on", {"color_temp_kelvin": 2700}),
            ("desk lamp", "set", "冷白色", "light.turn_on", {"color_temp_kelvin": 5500}),
            ("desk lamp", "set", "light sky blue", "light.turn_on", {"color_name": "lightskyblue"}),
            ("Kettle", "toggle", None, "switch.toggle", {}),
            ("desk fan", "set", 50, "fan.set_percentage", {"percentage": 50}),
            ("卧室窗帘", "close", None, "cover.close_cover", {}),
            ("窗帘", "set", 30, "cover.set_cover_position", {"position": 30}),
            ("卧室空调", "set", 26.5, "climate.set_temperature", {"temperature": 26.5}),
            ("空调", "set", "制冷", "climate.set_hvac_mode", {"hvac_mode": "cool"}),
            ("Television", "pause", None, "media_player.media_pause", {}),
            ("tv", "set", 30, "media_player.volume_set", {"volume_level": 0.3}),
            ("movie night", "on", None, "scene.turn_on", {}),
            ("good night", "start", None, "script.turn_on", {}),
            ("robot", "dock", None, "vacuum.return_to_base", {}),
            ("front door", "lock", None, "lock.lock", {}),
        ):
            arguments = {"entity": entity, "action": action, "value": value}
            outcome = await call(kit, "home_control", self.en, **arguments)
            self.assertTrue(outcome.final, outcome)
            called, sent = self.house.called[-1]
            sent.pop("entity_id")
            self.assertEqual((called, sent), (service, data), entity)

    async def test_said(self) -> None:
        """What was done is said, and seen at once when asked about."""
        kit, _ = self.made()
        zh = await call(kit, "home_control", self.zh, entity="客厅吊灯", action="on")
        self.assertEqual(zh.say, "好的，客厅吊灯已经设置好了。")
        self.assertEqual(
            (await call(kit, "home_state", self.zh, entity="吊灯")).say, "客厅吊灯开着。"
        )

    async def test_all(self) -> None:
        """All lights, or those of a room, are one call."""
        kit, _ = self.made()
        for arguments, ids in (
            ({"entity": "所有的灯"}, ["light.ceiling", "light.floor", "light.desk"]),
            ({"entity": "all the lights"}, ["light.ceiling", "light.floor", "light.desk"]),
            ({"entity": "the lights", "area": "客厅"}, ["light.ceiling", "light.floor"]),
            ({"entity": "灯", "area": "客厅"}, ["light.ceiling", "light.floor"]),
        ):
            await call(kit, "home_control", self.en, action="off", **arguments)
            self.assertEqual(self.house.called[-1], ("light.turn_off", {"entity_id": ids}))

    async def test_unclear(self) -> None:
        """What may be several things is asked back, and nothing is done."""
        kit, _ = self.made()
        outcome = await call(kit, "home_control", self.zh, entity="灯", action="on")
        self.assertEqual(outcome.say, "你是说哪一个：客厅吊灯、落地灯、Desk Lamp？")
        for name in ("garage door", "蓝牙音箱"):
            self.assertTrue(
                (await call(kit, "home_control", self.en, entity=name, action="on")).failed
            )
        self.assertEqual(self.house.called, [])

    async def test_not_allowed(self) -> None:
        """Locks, and what the settings leave out, are not controlled, by no name."""
        kit, _ = self.made(domains=("light", "lock"))
        for name in ("Front Door", "lock.door", "the lock", "Kettle", "automation.x"):
            for action in ("unlock", "open", "off"):
                arguments = {"entity": name, "action": action}
                self.assertTrue((await call(kit, "home_control", self.en, **arguments)).failed)
        self.assertEqual(self.house.called, [])

    async def test_impossible(self) -> None:
        """What a thing cannot do, or not with such a value, is said or a ServiceError."""
        kit, _ = self.made()
        outcome = await call(kit, "home_control", self.zh, entity="Kettle", action="set", value=3)
        self.assertEqual((outcome.failed, outcome.say), (True, "Kettle做不到。"))
        for value in (None, 101, "very bright!", "-5"):
            arguments = {"entity": "desk lamp", "action": "set", "value": value}
            await failure(kit, "home_control", self.en, **arguments)
        await failure(kit, "home_control", self.en, entity="desk lamp", action="explode")
        self.assertEqual(self.house.called, [])

    async def test_refused(self) -> None:
        """What Home Assistant refuses is told with its reason."""
        kit, _ = self.made()
        arguments = {"entity": "卧室空调", "action": "set", "value": 80}
        error = await failure(kit, "home_control", self.en, **arguments)
        self.assertIn("Service call is wrong", error.why)

    async def test_wrong_token(self) -> None:
        """A token that is refused is a ServiceError that does not repeat it."""
        kit, _ = self.made(token="secret-1")
        error = await failure(kit, "home_list", self.en)
        self.assertIn("401", error.why)
        self.assertNotIn("secret", error.why)

    async def test_no_administrator(self) -> None:
        """Without the right to ask for areas, names still tell where things are."""
        kit, web = self.made()
        self.house.administrator = False
        outcome = await call(kit, "home_list", self.zh, area="卧室", domain="climate")
        self.assertEqual(outcome.say, "卧室空调关着。")
        self.clock.advance(FRESH)
        await self.ask(kit)
        self.assertEqual([asked.path for asked in web.asked].count("/api/template"), 1)
        self.house.administrator = True
        self.clock.advance(AREAS_FRESH)
        self.assertIn("落地灯 (light, 客厅)", (await self.ask(kit)).text)

    async def test_never_stale(self) -> None:
        """How things were is never told for how they are."""
        kit, web = self.made()
        await self.ask(kit)
        web.fault = FAULTS["broken"]
        self.clock.advance(FRESH)
        await failure(kit, "home_list", self.en)

    def test_settings(self) -> None:
        """Without address and token there are no tools; with one of them it is a mistake."""
        self.assertEqual(Kit(Settings(url="", token=""), self.room).tools, ())
        for url, token in (
            ("http://127.0.0.1", ""),
            ("", "x"),
            ("http://127.0.0.1", "令牌"),
        ):
            with self.assertRaises(Unavailable):
                Kit(Settings(url=url, token=token), self.room)

    def test_alone(self) -> None:
        """Only what moves something runs alone; every action is offered to the model."""
        kit, _ = self.made()
        self.assertEqual([one.alone for one in kit.tools], [False, False, True])
        schema = tool(kit, "home_control").schema
        self.assertEqual(schema["properties"]["action"]["enum"], list(actions.ACTIONS))
