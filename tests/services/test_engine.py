"""How engines are found, and what they are made with."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import Unavailable
from xiaozhi.services import engine
from xiaozhi.services.engine import KINDS, Settings, Workshop
from xiaozhi.services.pool import Workers


class Voice:
    """An engine of somebody else's."""

    def __init__(self, settings: Settings, workshop: Workshop) -> None:
        self.made_with = (settings, workshop)


class LoadTests(SynchronousTestCase):
    def stranger(self, module: str, target: str = "") -> None:
        """Install an entry point `parrot` for voices."""
        entry = EntryPoint("parrot", target or module, "xiaozhi.tts")

        def entry_points(group: str) -> Iterable[EntryPoint]:
            return [entry] if group == "xiaozhi.tts" else []

        self.patch(importlib.metadata, "entry_points", entry_points)

    def why(self, kind: str, name: str) -> str:
        with self.assertRaises(Unavailable) as caught:
            engine.load(kind, name)
        return str(caught.exception)

    def test_own(self) -> None:
        """The engines of the house are modules, with settings and the class of their kind."""
        for kind, name in (("tts", "espeak"), ("tts", "gtts"), ("tts", "openai")):
            module = engine.load(kind, name)
            self.assertEqual(module.__name__, f"xiaozhi.services.{kind}.{name}")
            self.assertTrue(issubclass(module.Settings, Settings))
            self.assertTrue(callable(getattr(module, KINDS[kind])))

    def test_cheap(self) -> None:
        """Loading an engine does not import what it depends on."""
        for name in ("espeak", "gtts", "openai"):
            del sys.modules[engine.load("tts", name).__name__]
        heavy = ("gtts", "openai", "miniaudio", "espeakng_loader", "requests")
        kept = {name: sys.modules.pop(name) for name in heavy if name in sys.modules}
        try:
            for name in ("espeak", "gtts", "openai"):
                engine.load("tts", name)
            self.assertEqual([name for name in heavy if name in sys.modules], [])
        finally:
            sys.modules.update(kept)

    def test_unknown(self) -> None:
        """An engine that there is not is named."""
        self.assertEqual(self.why("tts", "parrot"), "there is no tts engine called 'parrot'")

    def test_stranger(self) -> None:
        """An engine of another package is found by its entry point."""
        module = ModuleType("parrots")
        self.patch(sys, "modules", {**sys.modules, "parrots": module})
        self.stranger("parrots")
        self.assertIs(engine.load("tts", "parrot"), module)
        self.assertIn("no asr engine", self.why("asr", "parrot"))

    def test_own_first(self) -> None:
        """A stranger's engine does not take the place of one of the house."""
        self.stranger("nowhere")
        self.assertEqual(engine.load("tts", "gtts").__name__, "xiaozhi.services.tts.gtts")

    def test_broken_stranger(self) -> None:
        """A stranger's engine that cannot be imported is unavailable, and why is told."""
        self.stranger("no_such_package.voice")
        self.assertIn("no_such_package", self.why("tts", "parrot"))
        self.stranger("xiaozhi.errors:Nothing")
        self.assertIn("Nothing", self.why("tts", "parrot"))

    def test_missing_dependency(self) -> None:
        """An engine of the house that imports what is missing tells what that is."""

        def import_module(name: str) -> ModuleType:
            raise ModuleNotFoundError("no module", name="torch")

        self.patch(importlib, "import_module", import_module)
        self.assertEqual(self.why("tts", "gtts"), "tts engine 'gtts' needs the package 'torch'")

    def test_make(self) -> None:
        """An engine is made with its settings and the workshop."""
        module: Any = ModuleType("parrots")
        module.Speaker = Voice
        self.patch(sys, "modules", {**sys.modules, "parrots": module})
        self.stranger("parrots")
        workshop = Workshop(None, Workers(None, "tts"), Path(), "en")
        settings = Settings()
        made = engine.make("tts", "parrot", settings, workshop)
        self.assertEqual(made.made_with, (settings, workshop))


class SettingsTests(SynchronousTestCase):
    def test_unknown_key(self) -> None:
        """Keys that an engine does not have are refused."""
        with self.assertRaises(msgspec.ValidationError):
            msgspec.convert({"sped": 1}, engine.load("tts", "espeak").Settings)

    def test_bounds(self) -> None:
        """Values out of bounds are refused."""
        for name, values in (
            ("espeak", {"speed": 5}),
            ("gtts", {"tld": "evil.example/x?"}),
            ("openai", {"languages": []}),
        ):
            with self.assertRaises(msgspec.ValidationError):
                msgspec.convert(values, engine.load("tts", name).Settings)

    def test_described(self) -> None:
        """Each setting has a line that explains it."""
        for name in ("espeak", "gtts", "openai"):
            for field in msgspec.inspect.type_info(engine.load("tts", name).Settings).fields:  # type: ignore[attr-defined]
                schema = field.type.extra_json_schema
                self.assertTrue(schema["description"], field.name)
