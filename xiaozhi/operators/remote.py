"""The server, asked over HTTP below /api/."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

from xiaozhi.hosting import Server
from xiaozhi.mcpvalues import FAILED
from xiaozhi.operators.errors import NOT_DONE, UNREACHABLE, Failed
from xiaozhi.services.web.address import public as public_address

_LIMIT: Final = 64 * 2**20
"""Bytes of an answer."""


def address(server: Server) -> str:
    """Tell where a server with these settings listens on this machine; raises Failed."""
    if not server.port:
        raise Failed("unnamed", NOT_DONE)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.ip[0], server.ip[0])  # noqa: S104 - compared
    host = f"[{host}]" if ":" in host else host
    if not server.tls.certificate:
        return f"http://{host}:{server.port}"
    if server.http_port is not None:
        return f"http://{host}:{server.http_port}"
    # The certificate is for the name the server is known by.
    public = public_address(server.public_url)
    return public.http("") if public else f"https://localhost:{server.port}"


class Remote:
    """A server, asked with an operator's token."""

    def __init__(self, url: str, token: str, seconds: float = 10.0) -> None:
        """Ask the server at `url`, which has so many seconds for each answer. Raises Failed."""
        self._url = url.rstrip("/")
        try:
            parts = urlsplit(self._url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            self._host = ""
        if not self._host or parts.scheme not in ("http", "https"):
            raise Failed("no_url", NOT_DONE, url=url)
        self._secure = parts.scheme == "https"
        self._path = parts.path
        self._token = token
        self._seconds = seconds

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Have something done, and give what comes of it; raises Failed."""
        # Straight there: no proxy of the environment's may see the token.
        connection = self._connection()
        headers = {"Authorization": f"Bearer {self._token}"}
        content = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, f"{self._path}/api/{path}", content, headers)
            answer = connection.getresponse()
            told = json.loads(answer.read(_LIMIT))
            if told["success"]:
                return told["data"]
            why = str(told["error"]).removeprefix(f"{FAILED}: ")  # that is for models
        except (OSError, http.client.HTTPException) as error:
            raise Failed("unreachable", UNREACHABLE, url=self._url, why=_short(error)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise Failed("no_api", UNREACHABLE, url=self._url) from error
        finally:
            connection.close()
        if answer.status == 401:
            raise Failed("no_operator", NOT_DONE)
        raise Failed("refused", NOT_DONE, why=why)

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._seconds, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)


def _short(error: Exception) -> str:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(why).split())
