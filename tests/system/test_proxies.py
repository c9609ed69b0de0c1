"""The examples of proxies in the documents, tried as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from unittest import mock, skipUnless

import treq
from twisted.web.client import Agent

from tests.certificates import certify
from tests.system.daemon import QUIET
from tests.system.server import ROOT, Process, ServerCase, reactor

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
CADDY = shutil.which("caddy")


def example(language: str, changes: Mapping[str, str]) -> str:
    """Give the example of that language, with `changes` for the place it is tried at."""
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    for old, new in changes.items():
        assert old in found, old
        found = found.replace(old, new)
    return str(found)


class Proxies(ServerCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.pair = certify(self.folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    async def serve(self) -> int:
        """Start a server that is reached through the proxy; give its own port."""
        config = self.folder / "x.yaml"
        config.write_text(
            "server: {ip: 127.0.0.1, port: 0, language: en, "
            f"public_url: 'https://localhost:{self.port}'}}\n{QUIET}"
        )
        process = self.command("-m", "xiaozhi.cli", "run", "--config", str(config))
        return int((await process.says(r"is listening on port (\d+)"))[1])

    async def check(self, proxy: Process) -> None:
        """Talk through the proxy; see that what is for operators is not shown."""
        base = f"https://localhost:{self.port}"
        await self.eventually(self.reached, lambda: proxy.text)
        with mock.patch.dict(os.environ, SSL_CERT_FILE=str(self.pair.certificate)):
            device = self.device(self.port, ota_url=f"{base}/xiaozhi/ota/", language="en")
            turn = await device.type("what is two plus two", timeout=30)
            self.assertTrue(turn.whole, turn.summary())
            for path, status in (("/", 200), ("/metrics", 404), ("/readyz", 404)):
                reply = await Agent(reactor).request(b"GET", f"{base}{path}".encode())
                await treq.content(reply)
                self.assertEqual(reply.code, status, path)
            device.close()

    def reached(self) -> bool:
        """Say whether the proxy is there."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @skipUnless(NGINX, "nginx is not installed (apt-get install nginx-light)")
    async def test_nginx(self) -> None:
        """The example for nginx."""
        site = example(
            "nginx",
            {
                "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
                "/etc/letsencrypt/live/voice.example.org/fullchain.pem": str(self.pair.certificate),
                "/etc/letsencrypt/live/voice.example.org/privkey.pem": str(self.pair.key),
                "127.0.0.1:8000": f"127.0.0.1:{await self.serve()}",
            },
        )
        places = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        whole = self.folder / "nginx.conf"
        whole.write_text(
            f"daemon off; master_process off; pid {self.folder}/pid; error_log stderr;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{places}{site}}}\n"
        )
        await self.check(self.program(str(NGINX), "-e", "stderr", "-c", str(whole)))

    @skipUnless(CADDY, "caddy is not installed (apt-get install caddy)")
    async def test_caddy(self) -> None:
        """The example for Caddy."""
        site = example(
            "caddy",
            {
                "voice.example.org {": f"https://localhost:{self.port} {{\n"
                f"\ttls {self.pair.certificate} {self.pair.key}",
                "127.0.0.1:8000": f"127.0.0.1:{await self.serve()}",
            },
        )
        whole = self.folder / "Caddyfile"
        whole.write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}")
        await self.check(
            self.program(
                str(CADDY), "run", "--adapter", "caddyfile", "--config", str(whole),
                HOME=str(self.folder),
            )
        )  # fmt: skip
