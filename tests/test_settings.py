"""Settings: frozen, and what follows from them."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.configuring import fakes
from xiaozhi.config import load
from xiaozhi.hosting import Server
from xiaozhi.settings import Assistant, Config


class SettingsTests(TestCase):
    """What is worked out from settings and the environment."""

    def config(self, **server: str) -> Config:
        with fakes():
            usual = load(None, {})
        sections = {name: getattr(usual, name) for name in usual.__struct_fields__}
        return Config(**(sections | {"server": Server(**server)}))  # type: ignore[arg-type]

    def test_frozen(self) -> None:
        """Settings cannot be changed."""
        config = self.config()
        self.assertRaises(AttributeError, setattr, config.server, "port", 1)
        self.assertRaises(AttributeError, setattr, config, "server", Server())

    def test_language(self) -> None:
        """The language is the one given, else the first the environment names, else English."""
        for given, environ, language in (
            ("zh", {"LANG": "de_DE"}, "zh"),
            ("zh-Hans-CN", {}, "zh"),
            ("auto", {}, "en"),
            ("auto", {"LC_ALL": "", "LC_MESSAGES": "zh_CN.UTF-8", "LANG": "de_DE"}, "zh"),
            ("auto", {"LC_ALL": "fr", "LC_MESSAGES": "zh_CN.UTF-8"}, "fr"),
            ("auto", {"LC_ALL": "C.UTF-8", "LANG": "de_DE"}, "en"),
            ("auto", {"LANG": "POSIX"}, "en"),
        ):
            self.assertEqual(language, self.config(language=given).language(environ), environ)

    def test_state_path(self) -> None:
        """State is kept where systemd says, else the file, else XDG, else below home."""
        home = {"HOME": "/home/me"}
        xdg = home | {"XDG_STATE_HOME": "/var/x"}
        systemd = xdg | {"STATE_DIRECTORY": "/var/lib/xiaozhi:/var/lib/other"}
        for given, environ, path in (
            ("/srv/x", systemd, "/var/lib/xiaozhi"),
            ("/srv/x", xdg, "/srv/x"),
            ("~/x/y", xdg, "/home/me/x/y"),
            ("x", xdg, str(Path("x").absolute())),
            ("", xdg, "/var/x/xiaozhi"),
            ("", home, "/home/me/.local/state/xiaozhi"),
            ("", home | {"XDG_STATE_HOME": "relative"}, "/home/me/.local/state/xiaozhi"),
        ):
            self.assertEqual(Path(path), self.config(state=given).state_path(environ))

    def test_assistant(self) -> None:
        """The assistant has a name in every language, unless it is given one."""
        usual = Assistant()
        self.assertEqual(("小智", "Xiaozhi"), (usual.name_in("zh"), usual.name_in("en")))
        self.assertEqual("Ada", Assistant(name="Ada").name_in("zh"))
