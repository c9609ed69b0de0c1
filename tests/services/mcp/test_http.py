"""MCP servers that run elsewhere, by streamable HTTP; the system suite has SSE."""

from __future__ import annotations

from tests.services.mcp import elsewhere
from xiaozhi.services.mcp.settings import Transport


class HttpTests(elsewhere.Elsewhere):
    transport: Transport = "http"
    path = "mcp"
