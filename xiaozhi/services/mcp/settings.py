"""The settings of MCP servers: which there are, and how each is reached."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from xiaozhi.mistakes import Mistake
from xiaozhi.section import Section
from xiaozhi.services.http import checked

Transport = Literal["stdio", "sse", "http"]


class Server(Section, frozen=True):
    """One MCP server: a program that is started here (`command`), or one with a `url`."""

    command: Annotated[
        str, Meta(description="The program to start, which speaks MCP by its input and output.")
    ] = ""
    args: Annotated[tuple[str, ...], Meta(description="Its arguments.")] = ()
    env: Annotated[
        dict[str, str],
        Meta(
            description="Its environment, beside PATH, HOME, USER, LOGNAME, SHELL, TERM, TMPDIR, "
            "TZ, LANG and LC_ALL: it is given nothing else."
        ),
    ] = msgspec.field(default_factory=dict)
    cwd: Annotated[str, Meta(description="The folder it is started in; if empty, ours.")] = ""
    url: Annotated[
        str, Meta(description="The address of a server that runs elsewhere: http or https.")
    ] = ""
    transport: Annotated[
        Transport | None,
        Meta(
            description="How it is spoken to. If empty: stdio where there is a command, sse where "
            "the url ends in /sse, else http (streamable HTTP)."
        ),
    ] = None
    headers: Annotated[
        dict[str, str], Meta(description="What is sent with each request to the url.")
    ] = msgspec.field(default_factory=dict)
    timeout_s: Annotated[
        float, Meta(description="Seconds a call of one of its tools may take.", ge=1, le=600)
    ] = 30.0
    enabled: Annotated[bool, Meta(description="Whether it is used.")] = True
    tools: Annotated[
        tuple[str, ...] | None,
        Meta(description="The names of the tools that are used; if empty, all of them are."),
    ] = None
    alone: Annotated[bool, Meta(description="Whether it is to be given one call at a time.")] = (
        False
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be reached in one way."""
        if bool(self.command) == bool(self.url):
            raise Mistake("command_or_url")
        if (self.transport == "stdio") != bool(self.command) and self.transport is not None:
            raise Mistake("odd_transport")
        if self.url:
            checked(self.url)
        if any(not name or "=" in name or "\0" in name for name in self.env):
            raise Mistake("odd_env")

    def __repr__(self) -> str:
        """Leave out what may hold secrets."""
        return f"Server({self.spoken}, ...)"

    @property
    def spoken(self) -> Transport:
        """How it is spoken to."""
        if self.transport is not None:
            return self.transport
        if self.command:
            return "stdio"
        path = self.url.partition("?")[0].rstrip("/")
        return "sse" if path.endswith("/sse") else "http"

    def uses(self, tool: str) -> bool:
        """Say whether its tool of this name is used."""
        return self.tools is None or tool in self.tools


class Mcp(Section, frozen=True):
    """Tools of MCP servers."""

    file: Annotated[
        str,
        Meta(
            description="A JSON file with `mcpServers`, as other programs have it; relative to "
            "this file. If empty, mcp.json in the state folder, if it is there. What is under "
            "`servers`, too, counts before it."
        ),
    ] = ""
    servers: Annotated[
        dict[str, Server],
        Meta(description="The servers, by their names. Each is shared by all devices."),
    ] = msgspec.field(default_factory=dict)
