"""What keeps a command from being done, in one line of Chinese or English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NOT_DONE: Final = 1
"""Exit code: the server (or the store) would not."""
UNREACHABLE: Final = 3
"""Exit code: nobody answered who would know. 2 is for a command that is none."""

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "unnamed": {
        "en": "server.port is 0, any free one: say where the server is with --server",
        "zh": "server.port 为 0（任意端口）：请用 --server 指明服务器地址",
    },
    "no_url": {
        "en": "{url}: must be http:// or https:// and a host",
        "zh": "{url}：必须是 http:// 或 https:// 加主机名",
    },
    "unreachable": {
        "en": "no server answers at {url}: {why}",
        "zh": "{url} 没有服务器应答：{why}",
    },
    "no_api": {
        "en": "what answers at {url} is no xiaozhi server",
        "zh": "{url} 应答的不是 xiaozhi 服务器",
    },
    "no_token": {
        "en": "an operator's token is needed: --token, $XIAOZHI_TOKEN or {path}; "
        "make one on the server's machine with: xiaozhi token new --save",
        "zh": "需要管理令牌：--token、$XIAOZHI_TOKEN 或 {path}；"
        "可在服务器本机运行：xiaozhi token new --save",
    },
    "no_operator": {
        "en": "the server does not know this token (any more)",
        "zh": "服务器不认识这个令牌（或已吊销）",
    },
    "readable": {
        "en": "{path} can be read by others: chmod 600 {path}",
        "zh": "{path} 可以被其他用户读取：chmod 600 {path}",
    },
    "no_store": {
        "en": "there is no store at {path} yet: start the server once "
        "(or name its folder: STATE_DIRECTORY, or server.state in the configuration)",
        "zh": "{path} 还没有数据库：请先启动一次服务器"
        "（或用 STATE_DIRECTORY 或配置里的 server.state 指明目录）",
    },
    "no_object": {
        "en": "the arguments must be a JSON object, such as '{{\"volume\": 30}}'",
        "zh": "参数必须是 JSON 对象，例如 '{{\"volume\": 30}}'",
    },
    "failed": {"en": "{why}", "zh": "{why}"},
    "refused": {"en": "{why}", "zh": "{why}"},
}
_REFUSALS: Mapping[str, str] = {
    "there is no such thing": "没有找到",
    "there is no such device": "没有这个设备",
    "no device shows this code": "没有设备显示这个激活码",
    "the device is blocked": "设备已被屏蔽",
    "the device is not activated": "设备尚未激活",
    "the device is not connected": "设备没有连接",
    "too many wrong tokens": "错误的令牌太多，请稍后再试",
}
"""What a server says, in Chinese."""


class Failed(Exception):
    """A command is not done."""

    def __init__(self, key: str, code: int, **facts: object) -> None:
        """Take the text's `key`, the exit `code`, and what goes into the text."""
        super().__init__(key)
        self.code = code
        self._key = key
        self._facts = facts

    def said(self, language: str) -> str:
        """Say it, in Chinese where that is the `language`, else in English."""
        texts = _TEXTS[self._key]
        line = texts.get(language, texts["en"]).format(**self._facts)
        return _REFUSALS.get(line, line) if language == "zh" else line
