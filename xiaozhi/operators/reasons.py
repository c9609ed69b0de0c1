"""Why an MCP server is not connected, in Chinese: the server tells its reasons in English.

What a server or a library said itself is shown as it is.
"""

from __future__ import annotations

import re
from typing import Final

_CHINESE: Final = tuple(
    (re.compile(english, re.DOTALL), chinese)
    for english, chinese in (
        (r"it is used no more", "已不再使用"),
        (r"its tools were not known within (\S+) s", r"\1 秒内没有给出工具列表"),
        (r"no answer: none within (\S+) s", r"\1 秒内没有回应"),
        (r"no answer: (.+)", r"没有回应：\1"),
        (r"it closed the connection", "对方断开了连接"),
        (r"it closed the connection; its last line was: (.+)", r"对方断开了连接，最后输出：\1"),
        (r"it sent a message of more than (\d+) MiB", r"对方发来的消息超过 \1 MiB"),
        (r"it answered (\d{3} .*)", r"对方回答 \1"),
        (r"what it says is no MCP", "对方说的不是 MCP"),
        (r"the connection ended", "连接已结束"),
        (r"the server is stopping", "服务器正在停止"),
        (r"All connection attempts failed", "连接不上"),
        (r"\[Errno 2\] No such file or directory: (.+)", r"没有这个文件或程序：\1"),
    )
)


def in_chinese(reason: str) -> str:
    """Tell a reason in Chinese, as far as it is one of ours."""
    for english, chinese in _CHINESE:
        match = english.fullmatch(reason)
        if match is not None:
            return match.expand(chinese)
    return reason
