"""What tests of the configuration need: a file to read, and fake engines."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Annotated, Any, Literal
from unittest import mock

import msgspec
from msgspec import Meta
from twisted.trial.unittest import TestCase

from xiaozhi.choices import ENGINES
from xiaozhi.config import load
from xiaozhi.errors import ConfigError
from xiaozhi.services import engine
from xiaozhi.settings import Config


class Deeper(engine.Settings, frozen=True):
    """Settings within settings."""

    depth: Annotated[float, Meta(description="How deep, in metres.", ge=0, lt=11_000)] = 1.5
    label: Annotated[str, Meta(description="What it is called.")] = "${LABEL:-no name}"


class FakeSettings(engine.Settings, frozen=True):
    """A setting of every type an engine may have."""

    api_key: Annotated[str, Meta(description="The key | of the service.")] = "${FAKE_KEY:-}"
    model: Annotated[str, Meta(description="Which model.", min_length=1)] = "small: one"
    voices: Annotated[tuple[str, ...], Meta(description="Voices.")] = ("yes", "12", "a", "${V:-v}")
    headers: Annotated[dict[str, str], Meta(description="More headers.")] = {}
    extra: Annotated[dict[str, Any], Meta(description="Anything else.")] = msgspec.field(
        default_factory=lambda: {"a": [1, {"b": "x"}], "c": 1.5}
    )
    speed: Annotated[float, Meta(description="Speed.", gt=0, le=4)] = 1
    threads: Annotated[int, Meta(description="Threads.", ge=1)] = 1
    fast: Annotated[bool, Meta(description="Whether to hurry.")] = False
    size: Annotated[Literal["small", "large"], Meta(description="Size.")] = "small"
    seed: Annotated[int | None, Meta(description="Seed; any if empty.")] = None
    deeper: Annotated[Deeper, Meta(description="Deeper settings.")] = Deeper()

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.fast and self.speed < 1:
            raise ValueError("fast and a speed below 1 do not go together")


class Needy(engine.Settings, frozen=True):
    """Settings of which one has no default."""

    path: Annotated[str, Meta(description="Where it is.")]


def module(kind: str, name: str, settings: type[msgspec.Struct]) -> ModuleType:
    """Make an engine module."""
    made = ModuleType(f"xiaozhi.services.{kind}.{name}", f"The fake {name}\nof {kind}.\n\nMore.")
    vars(made).update({"Settings": settings, engine.KINDS[kind]: object})
    return made


def fakes() -> Any:
    """Put fakes in the place of the engines used by default; the patcher takes them away."""
    modules = [module(kind, name, FakeSettings) for kind in ENGINES for name in ENGINES[kind]]
    for kind, names in ENGINES.items():
        for name in names:
            engine.load(kind, name)  # or what they import now would be gone afterwards
    modules.append(module("tts", "needy", Needy))
    modules.append(ModuleType("xiaozhi.services.tts.helper"))
    return mock.patch.dict(sys.modules, {made.__name__: made for made in modules})


class FileTestCase(TestCase):
    """A test with a folder, and fakes for engines."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "x.yaml"
        patcher = fakes()
        patcher.start()
        self.addCleanup(patcher.stop)

    def load(self, text: str | bytes, **environ: str) -> Config:
        data = dedent(text).encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        self.path.write_bytes(data)
        return load(self.path, environ)

    def problems(self, text: str | bytes, **environ: str) -> list[str]:
        """Tell the problems of `text`, the file's name cut off."""
        error = self.assertRaises(ConfigError, self.load, text, **environ)
        for problem in error.problems:
            self.assertEqual(1, len(problem.splitlines()), problem)
            self.assertTrue(problem.startswith(str(self.path)), problem)
        return [problem.removeprefix(str(self.path)).lstrip(":") for problem in error.problems]
