"""A real MCP server, made with the official package: `python mcp_server.py stdio|sse|http`."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from typing import Any

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080600000"
    "01f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
server = MCPServer("demo")
log = logging.getLogger("demo")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fail() -> str:
    """Fail."""
    raise ToolError("the tank is empty")


@server.tool()
def picture() -> Image:
    """Give a picture."""
    return Image(data=PIXEL, format="png")


@server.tool()
def long(characters: int) -> str:
    """Say much."""
    return "x" * characters


@server.tool()
def show() -> str:
    """Give what is to be shown."""
    return '{"action": "show_result", "html": "%s"}' % ("y" * 20_000)


@server.tool()
def environment() -> dict[str, str]:
    """Tell the environment."""
    return dict(os.environ)


@server.tool()
async def wait() -> str:
    """Tell the log that this begins, and that it is cancelled; never end."""
    log.warning("begun")
    try:
        await asyncio.Event().wait()
    finally:
        log.warning("cancelled")
    return "never"


@server.tool()
async def grow(name: str, ctx: Context[Any, Any]) -> str:
    """Have one more tool."""

    def new() -> str:
        return name

    server.add_tool(new, name=name, description="A new one.")
    await ctx.session.send_tool_list_changed()
    return "grown"


@server.tool()
def pid() -> int:
    """Tell which process this is."""
    return os.getpid()


@server.tool()
def die() -> str:
    """End the server, in the middle of a call."""
    os._exit(1)


def main(transport: str) -> None:
    """Serve; over HTTP, on the socket handed over as file descriptor 0."""
    logging.basicConfig(format="%(message)s", force=True)
    log.warning("the server starts")
    if transport == "stdio":
        server.run()
        return
    import uvicorn

    app = server.sse_app() if transport == "sse" else server.streamable_http_app()
    config = uvicorn.Config(app, log_level="warning", lifespan="on")
    uvicorn.Server(config).run([socket.socket(fileno=os.dup(0))])


if __name__ == "__main__":
    main(sys.argv[1])
