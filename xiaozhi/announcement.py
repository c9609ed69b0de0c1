"""What the server says when it starts: what is on, where, what it lacks, what to do next."""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import attrs
from twisted.application.service import Service
from twisted.logger import Logger

from xiaozhi import __version__
from xiaozhi.languages import ANY
from xiaozhi.services.web.address import Address
from xiaozhi.services.web.listening import Listening

Engines = Sequence[tuple[str, Collection[str]]]
"""Names with their languages, in the order they are tried."""

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "xiaozhi {version} is listening on port {port}",
        "settings": "settings   {path}",
        "defaults": "the built-in defaults (write them to a file with: xiaozhi init)",
        "ears": "ears       {engines}",
        "mind": "mind       {engines}",
        "voice": "voice      {engines}",
        "nothing": "nothing!",
        "any": "any language",
        "starting": "starting",
        "more": "{some} and {count} more",
        "lacking": "not used   {why}",
        "unnamed": "not used   the tool {name} is installed; to use it, write under tools: "
        "{name}: true",
        "next": "next       type this OTA address into the device:  {ota}",
        "try": '           or try it here:  {command} "What time is it?"',
    },
    "zh": {
        "title": "xiaozhi {version} 已启动，端口 {port}",
        "settings": "配置    {path}",
        "defaults": "内置默认值（用 xiaozhi init 写成文件）",
        "ears": "听      {engines}",
        "mind": "想      {engines}",
        "voice": "说      {engines}",
        "nothing": "没有！",
        "any": "任何语言",
        "starting": "正在准备",
        "more": "{some} 等 {total} 种",
        "lacking": "未启用  {why}",
        "unnamed": "未启用  已安装工具 {name}；要使用它，请在 tools 下写 {name}: true",
        "next": "下一步  在设备里填入 OTA 地址：{ota}",
        "try": '        或在本机试一试：{command} "你好，请问你能做什么？"',
    },
}


@attrs.frozen
class Lineup:
    """The engines of a server."""

    vad: str
    asr: Engines
    llm: Engines
    tts: Engines


class Announcement(Service):
    """Say it once the server listens."""

    log = Logger()

    def __init__(
        self,
        listening: Listening,
        public: Address | None,
        lineup: Lineup,
        lacking: Mapping[str, Sequence[str]],
        language: str,
        path: Path | None,
        unnamed: Sequence[str] = (),
    ) -> None:
        """Announce `lineup` and, by reason, the engines that are `lacking`.

        `unnamed` are tools that somebody has installed and nobody has named in the settings.
        It is said in `language` where that is Chinese, else in English.
        """
        self._listening = listening
        self._public = public
        self._lineup = lineup
        self._lacking = lacking
        self._texts = _TEXTS.get(language, _TEXTS["en"])
        self._path = path
        self._unnamed = unnamed

    def startService(self) -> None:
        """Write the announcement to the log, a line each."""
        super().startService()
        for line in self.lines():
            self.log.info("{line}", line=line)

    def lines(self) -> list[str]:
        """Write the announcement."""
        texts, port = self._texts, self._listening.port
        address = self._public or Address(
            _own_address(self._listening.addresses), port, self._listening.secure
        )
        return [
            texts["title"].format(version=__version__, port=port),
            texts["settings"].format(path=self._path or texts["defaults"]),
            texts["ears"].format(engines=f"{self._lineup.vad} > {self._engines(self._lineup.asr)}"),
            texts["mind"].format(engines=self._engines(self._lineup.llm)),
            texts["voice"].format(engines=self._engines(self._lineup.tts)),
            *(
                texts["lacking"].format(why=f"{', '.join(names)}: {why}")
                for why, names in self._lacking.items()
            ),
            *(texts["unnamed"].format(name=name) for name in self._unnamed),
            texts["next"].format(ota=address.http("/xiaozhi/ota/")),
            texts["try"].format(command=_command(port, self._listening.secure)),
        ]

    def _engines(self, engines: Engines) -> str:
        return (
            ", ".join(f"{name} ({self._languages(languages)})" for name, languages in engines)
            or self._texts["nothing"]
        )

    def _languages(self, languages: Collection[str]) -> str:
        if not languages:
            return self._texts["starting"]
        if ANY in languages:
            return self._texts["any"]
        # Those this server speaks by itself come first.
        known = sorted(languages, key=lambda tag: (tag not in ("zh", "en"), tag))
        if len(known) <= 4:
            return " ".join(known)
        return self._texts["more"].format(
            some=" ".join(known[:2]), count=len(known) - 2, total=len(known)
        )


def _command(port: int, secure: bool) -> str:
    """Write the command that talks to this server, as it can be typed here."""
    command = Path(sys.executable).parent / "xiaozhi"
    if command.is_relative_to(Path.cwd()):
        command = command.relative_to(Path.cwd())
    ota = Address("127.0.0.1", port, secure).http("/xiaozhi/ota/")
    if ota == "http://127.0.0.1:8000/xiaozhi/ota/":  # what it takes by itself
        return f"{command} device say"
    return f"{command} device say --ota {ota}"


def _own_address(listening: Sequence[str]) -> str:
    """Find the address at which devices on this network reach the server."""
    everywhere = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    if not everywhere & set(listening):
        return f"[{listening[0]}]" if ":" in listening[0] else listening[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # never reached: only the route is looked up
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
