"""What is shown of devices and tokens, to people who read Chinese or English."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from xiaozhi.operators.reasons import in_chinese

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "id": "ID",
        "name": "NAME",
        "board": "BOARD",
        "firmware": "FIRMWARE",
        "state": "STATE",
        "last_seen": "LAST SEEN",
        "kind": "FOR",
        "subject": "WHOSE",
        "label": "LABEL",
        "made_at": "MADE",
        "client_id": "CLIENT",
        "language": "LANGUAGE",
        "role": "ROLE",
        "address": "ADDRESS",
        "first_seen": "FIRST SEEN",
        "activated_at": "ACTIVATED",
        "memories": "SESSIONS KEPT",
        "user": "user",
        "assistant": "assistant",
        "active": "activated",
        "waiting": "not activated",
        "blocked": "blocked",
        "valid": "valid",
        "revoked": "revoked",
        "operator": "operator",
        "mcp": "MCP servers",
        "how": "HOW",
        "tools": "TOOLS",
        "devices": "DEVICES",
        "why": "WHY",
        "all": "all",
        "connected": "connected",
        "connecting": "connecting",
        "ending": "ending",
        "lost": "not connected",
        "ended": "gone",
        "no_servers": "there are no MCP servers",
        "device": "device",
        "no_devices": "no device has been seen yet",
        "no_tokens": "there are no tokens",
        "audience": "WHO",
        "description": "WHAT IT DOES",
        "user_only": "operators",
        "models": "models",
        "no_tools": "the device has no tools",
        "picture": "(a picture: {mime}; --json has it)",
        "activated": "{id} is activated; it notices within a few seconds",
        "block": "{id} is blocked, and its connection closed",
        "unblock": "{id} is no longer blocked",
        "rename": "{id} is called {name}",
        "forget": "{id} and all that was kept of it are forgotten",
        "unknown": "nothing is known of its user",
        "said_at": "SAID",
        "text": "WHAT",
        "erased": "erased: {erased}",
        "revoke": "revoked: {id}",
        "once": "This token is shown only now. Keep it as you would a password.",
        "saved": "kept in {path}, for you alone",
    },
    "zh": {
        "id": "编号",
        "name": "名称",
        "board": "硬件",
        "firmware": "固件",
        "state": "状态",
        "last_seen": "最近出现",
        "kind": "用途",
        "subject": "所属",
        "label": "备注",
        "made_at": "创建时间",
        "client_id": "客户端",
        "language": "语言",
        "role": "角色",
        "address": "地址",
        "first_seen": "首次出现",
        "activated_at": "激活时间",
        "memories": "对话记录",
        "user": "用户",
        "assistant": "助手",
        "active": "已激活",
        "waiting": "未激活",
        "blocked": "已屏蔽",
        "valid": "有效",
        "revoked": "已吊销",
        "operator": "管理",
        "mcp": "MCP 服务",
        "how": "方式",
        "tools": "工具",
        "devices": "设备",
        "why": "原因",
        "all": "全部",
        "connected": "已连接",
        "connecting": "正在连接",
        "ending": "正在断开",
        "lost": "未连接",
        "ended": "已断开",
        "no_servers": "没有 MCP 服务",
        "device": "设备",
        "no_devices": "还没有设备出现过",
        "no_tokens": "没有令牌",
        "audience": "可用者",
        "description": "作用",
        "user_only": "管理",
        "models": "模型",
        "no_tools": "设备没有工具",
        "picture": "（图片：{mime}，用 --json 取得）",
        "activated": "{id} 已激活，设备几秒内就会知道",
        "block": "{id} 已屏蔽，连接已断开",
        "unblock": "{id} 已解除屏蔽",
        "rename": "{id} 的名称是 {name}",
        "forget": "{id} 及其全部数据已删除",
        "unknown": "还不了解其用户",
        "said_at": "时间",
        "text": "内容",
        "erased": "已删除 {erased} 条",
        "revoke": "已吊销：{id}",
        "once": "令牌只显示这一次，请像密码一样保管。",
        "saved": "已保存到 {path}，仅本人可读",
    },
}
_DEVICES = ("id", "name", "board", "firmware", "state", "last_seen")
_DEVICE = (
    *_DEVICES, "client_id", "language", "role", "address", "first_seen", "activated_at", "memories"
)  # fmt: skip
_TOKENS = ("id", "kind", "subject", "label", "state", "made_at")
_SERVERS = ("name", "how", "state", "tools", "devices", "why")
_TOOLS = ("name", "audience", "description")
_TIMES = frozenset({"ended", "last_seen", "first_seen", "activated_at", "made_at", "said_at"})


class Show:
    """Writes for people."""

    def __init__(self, language: str) -> None:
        """Write Chinese where that is the `language`, else English."""
        self._texts = _TEXTS.get(language, _TEXTS["en"])
        self._reason = in_chinese if language == "zh" else str

    def text(self, key: str, **facts: Any) -> str:
        """Write a sentence."""
        return self._texts[key].format(**facts)

    def devices(self, devices: Sequence[Mapping[str, Any]]) -> list[str]:
        """Write a table of devices."""
        rows = [{"state": self._texts[_state(device)], **device} for device in devices]
        return self._table(_DEVICES, rows) if rows else [self._texts["no_devices"]]

    def device(self, device: Mapping[str, Any]) -> list[str]:
        """Write all about one, a line each, but not what was said to it."""
        told = {"state": self._texts[_state(device)], **device}
        return _aligned([self._texts[name], _cell(name, told[name])] for name in _DEVICE)

    def memories(self, memories: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """Write what was said in some sessions."""
        for memory in memories:
            yield ""
            yield _cell("ended", memory["ended"])
            for role, text, _ in memory["entries"]:
                yield f"  {self._texts.get(role, role)}: {_cell('text', text)}"

    def tokens(self, tokens: Sequence[Mapping[str, Any]]) -> list[str]:
        """Write a table of tokens."""
        rows = [
            token
            | {
                "kind": self._texts[token["kind"]],
                "state": self._texts["revoked" if token["revoked_at"] else "valid"],
            }
            for token in map(dict, tokens)
        ]
        return self._table(_TOKENS, rows) if rows else [self._texts["no_tokens"]]

    def servers(self, servers: Sequence[Mapping[str, Any]]) -> list[str]:
        """Write a table of MCP servers."""
        rows = [
            {
                **server,
                "state": self._texts[server["state"]],
                "tools": len(server["tools"]),
                "devices": ",".join(server["devices"] or [self._texts["all"]]),
                "why": self._reason(server["why"]),
            }
            for server in servers
        ]
        return self._table(_SERVERS, rows) if rows else [self._texts["no_servers"]]

    def tools(self, tools: Sequence[Mapping[str, Any]]) -> list[str]:
        """Write a table of a device's tools, and who may call them."""
        rows = [
            {"audience": self._texts["user_only" if tool["user_only"] else "models"], **tool}
            for tool in tools
        ]
        return self._table(_TOOLS, rows) if rows else [self._texts["no_tools"]]

    def outcome(self, done: Mapping[str, Any]) -> list[str]:
        """Write what came of a tool's call."""
        pictures = [self.text("picture", mime=_cell("", one["mime"])) for one in done["pictures"]]
        return [*(_cell("", line) for line in done["text"].splitlines()), *pictures]

    def memory(self, known: Mapping[str, Any]) -> list[str]:
        """Write a table of what is known of a device's user: facts, then earlier talks."""
        talks = [digest | {"said_at": digest["ended"]} for digest in known["digests"]]
        rows = [*known["facts"], *talks]
        return self._table(("said_at", "text"), rows) if rows else [self._texts["unknown"]]

    def _table(self, names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> list[str]:
        head = [self._texts[name] for name in names]
        return _aligned([head, *([_cell(name, row[name]) for name in names] for row in rows)])


def _state(device: Mapping[str, Any]) -> str:
    if device["blocked"]:
        return "blocked"
    return "waiting" if device["activated_at"] is None else "active"


def _cell(name: str, value: Any) -> str:
    if name in _TIMES:
        return datetime.fromtimestamp(value).strftime("%Y-%m-%d %H:%M") if value else "-"
    # What a device calls itself must not move the cursor.
    return "".join(sign for sign in str(value) if sign.isprintable()) or "-"


def _aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Write rows in columns two blanks apart; a Chinese sign is as wide as two others."""
    cells = list(rows)
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
