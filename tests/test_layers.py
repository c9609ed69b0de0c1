"""Who may not import whom."""

from __future__ import annotations

import ast
import configparser
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent
GROUND = (
    "messages wire events manners turn endpointing sentences speakable moods wakewords pacer "
    "dialogue languages phrases identity errors idling limits tooling answers tokens briefing "
    "quantities grammar sums appointments commands jsonrpc jsontext mcpvalues mistakes laxjson "
    "arguments undecided reasoning callforms callmarks offer untrusted toolcalls"
).split()
"""Pure modules: they import each other, the standard library, msgspec and attrs."""
PURE = {"msgspec", "attrs", "__future__"}
IMPURE = {"time", "datetime", "socket", "os", "subprocess", "threading", "asyncio", "random", "io"}
ROOF = "engines staffing rooms operating server ending tap cli".split()
AUTOBAHN = {
    *("protocol", "factory", "services.web.site", "services.web.mcp"),
    *("device.websocket", "device.client"),
}


@cache
def trees() -> Mapping[str, ast.Module]:
    """Read the modules of the house, by their dotted names; once for all tests."""
    return {
        ".".join(path.relative_to(ROOT / "xiaozhi").with_suffix("").parts): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in sorted((ROOT / "xiaozhi").rglob("*.py"))
    }


@cache
def modules() -> Mapping[str, frozenset[str]]:
    """Tell of each module, by its dotted name, all it imports."""
    imports = {}
    for name, tree in trees().items():
        found: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{name}: a relative import"
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        imports[name.removesuffix(".__init__")] = frozenset(found)
    return imports


def touches(imported: str, *names: str) -> bool:
    """Say whether `imported` is one of the modules `names`, or something inside."""
    return any(imported == name or imported.startswith(f"{name}.") for name in names)


class Layers(SynchronousTestCase):
    def check(self, breach: object) -> None:
        """Fail with every import that `breach(module, imported)` objects to."""
        assert callable(breach)
        found = [
            f"{name} imports {what}"
            for name, whats in modules().items()
            for what in sorted(whats)
            if breach(name, what)
        ]
        self.assertEqual(found, [])

    def test_ground_floor_is_pure(self) -> None:
        """The ground floor knows no Twisted, no clock, no files, and nothing above it."""

        def breach(name: str, what: str) -> bool:
            if name not in GROUND:
                return False
            top, _, rest = what.partition(".")
            if top == "xiaozhi":
                return bool(rest) and rest.split(".")[0] not in GROUND
            return top in IMPURE or (top not in PURE and top not in sys.stdlib_module_names)

        self.check(breach)

    def test_services_know_no_session(self) -> None:
        """Services never import the session, the turn, the wire, the modes, or another kind."""

        def breach(name: str, what: str) -> bool:
            if not name.startswith("services"):
                return False
            kinds = {"asr", "llm", "tts", "vad"}
            own = name.split(".")[1:2]
            return touches(
                what,
                *(f"xiaozhi.{m}" for m in ("session", "turn", "wire", "messages")),
                *(f"xiaozhi.{m}" for m in ("modes", "protocol", "tap")),
                *(f"xiaozhi.services.{kind}" for kind in kinds - set(own)),
            )

        self.check(breach)

    def test_engines_do_not_know_each_other(self) -> None:
        """An engine imports no other engine of its kind."""
        engines = {
            f"xiaozhi.services.{kind}.{name}"
            for kind, names in {
                "asr": "openai whisper pocketsphinx",
                "llm": "openai ollama llamacpp offline",
                "tts": "openai piper espeak gtts",
                "vad": "silero webrtc",
                "memory": "none local",
            }.items()
            for name in names.split()
        }
        self.check(
            lambda name, what: (
                f"xiaozhi.{name}" in engines and touches(what, *(engines - {f"xiaozhi.{name}"}))
            )
        )

    def test_tools_know_no_session(self) -> None:
        """A tool knows the scene and the room; never the session, its parts, or another tool."""
        tools = {
            f"xiaozhi.tools.{path.stem}"
            for path in (ROOT / "xiaozhi" / "tools").glob("[a-z]*.py")
            if path.stem != "kits"
        }
        inner = (
            "session",
            "turn",
            "wire",
            "messages",
            "modes",
            "protocol",
            "conversation",
            "reply",
            "settings",
        )
        self.check(
            lambda name, what: (
                name.startswith("tools.")
                and touches(
                    what, *(f"xiaozhi.{one}" for one in inner), *(tools - {f"xiaozhi.{name}"})
                )
            )
        )

    def test_modes_know_no_wire(self) -> None:
        """Modes never import the wire, what goes over it, or the protocol."""
        outer = ("wire", "messages", "protocol", "session")
        self.check(
            lambda name, what: (
                name.startswith("modes") and touches(what, *(f"xiaozhi.{m}" for m in outer))
            )
        )

    def test_autobahn_stays_at_the_door(self) -> None:
        """Autobahn is for the protocol, the factory and the web resource (and the device)."""
        self.check(lambda name, what: touches(what, "autobahn") and name not in AUTOBAHN)

    def test_only_tap_has_the_reactor(self) -> None:
        """The reactor is imported by tap, which hands it down, and by the device's command."""
        self.check(
            lambda name, what: (
                what == "twisted.internet.reactor" and name not in {"tap", "_reactor", "device.cli"}
            )
        )

    def test_nobody_imports_tap(self) -> None:
        """Tap is the roof; only the command stands on it."""
        self.check(lambda name, what: touches(what, "xiaozhi.tap") and name != "cli")

    def test_the_roof_is_above_all(self) -> None:
        """What puts the server together, changes and ends it is known to nobody below."""
        self.check(
            lambda name, what: (
                name not in ROOF and touches(what, *(f"xiaozhi.{module}" for module in ROOF))
            )
        )

    def test_device_is_another_house(self) -> None:
        """The simulated device shares the codec with the server, and nothing of the protocol."""
        own = ("audio", "errors", "_reactor", "device", "__version__")
        self.check(
            lambda name, what: (
                (name == "device" or name.startswith("device."))
                and touches(what, "xiaozhi")
                and not touches(what, *(f"xiaozhi.{module}" for module in own))
            )
        )

    def test_sql_stays_in_the_store(self) -> None:
        """SQLAlchemy and Alembic are for the store, which imports them in a thread of its own."""
        self.check(
            lambda name, what: (
                touches(what, "sqlalchemy", "alembic", "psycopg", "sqlite3")
                and not name.startswith("services.store.")
            )
        )

    def test_packaged(self) -> None:
        """Every package of the house is in the wheel, and so is every migration."""
        told = configparser.ConfigParser()
        told.read(ROOT / "setup.cfg", encoding="utf-8")
        found = {
            ".".join(path.relative_to(ROOT).parent.parts)
            for path in (ROOT / "xiaozhi").rglob("*.py")
        }
        packages = set(told["options"]["packages"].split())
        self.assertEqual(packages - {"twisted.plugins"}, found)

    def test_no_broad_excepts(self) -> None:
        """Only the named boundaries catch everything."""
        allowed = {"protocol", "session", "timers", "services.bridge", "services.roster", "toolbox"}
        found = [
            f"{name}:{node.lineno}"
            for name, tree in trees().items()
            for node in ast.walk(tree)
            if isinstance(node, ast.ExceptHandler)
            and (
                node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
            )
            and name not in allowed
        ]
        self.assertEqual(found, [])
