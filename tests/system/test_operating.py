"""The server as those who run it see it: TLS, its log, its metrics."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import treq
from prometheus_client.parser import text_string_to_metric_families
from twisted.web.client import Agent

from tests.certificates import certify
from tests.system.server import ServerCase, reactor

QUIET = "llm: [{use: offline}]\nasr: [{use: pocketsphinx}]\ntts: [{use: espeak}]\n"


class Operating(ServerCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        self.pair = certify(folder)
        self.log = folder / "log.jsonl"
        self.config = folder / "x.yaml"
        self.config.write_text(
            f"server: {{ip: [127.0.0.1, '::1'], port: 0, language: en, tls: "
            f"{{certificate: '{self.pair.certificate}', key: '{self.pair.key}'}}}}\n"
            f"log: {{format: json, file: '{self.log}'}}\n{QUIET}"
        )

    def announced(self) -> list[int]:
        """Tell the port that the log names."""
        said = [str(record["event"]) for record in _records(self.log)]
        return [int(event.rpartition(" ")[2]) for event in said if "is listening on port" in event]

    def put_aside(self) -> list[Path]:
        """Tell the files of the log that are no longer written."""
        return list(self.log.parent.glob(f"{self.log.name}.*"))

    async def test_all_of_it(self) -> None:
        """A device talks by TLS; JSON lines and the metrics tell of it; nothing tells its words."""
        process = self.command("-m", "xiaozhi.cli", "run", "--config", str(self.config))
        await self.eventually(lambda: self.announced() != [], lambda: process.text)
        (port,) = self.announced()
        base = f"https://localhost:{port}"
        with mock.patch.dict(os.environ, SSL_CERT_FILE=str(self.pair.certificate)):
            device = self.device(port, ota_url=f"{base}/xiaozhi/ota/", language="en")
            turn = await device.type("tell me something about plus", timeout=30)
            self.assertTrue(turn.whole, turn.summary())
            self.assertEqual(await self.get(f"{base}/healthz"), "ok\n")
            self.assertTrue(json.loads(await self.get(f"{base}/readyz"))["ready"])
            values = _values(await self.get(f"{base}/metrics"))
            device.close()
        self.assertEqual(values["xiaozhi_connections", ()], 1)
        self.assertEqual(values["xiaozhi_turns_total", ("typed",)], 1)
        self.assertGreater(values["xiaozhi_frames_sent_total", ()], 5)
        self.assertEqual(values["xiaozhi_engine_requests_total", ("offline", "llm")], 1)
        self.assertGreater(values["xiaozhi_reactor_lag_seconds_count", ()], 0)
        self.assertGreater(values["xiaozhi_tls_expiry_timestamp_seconds", ()], 1.7e9)

        process.handle.signalProcess(signal.SIGUSR1)
        await self.eventually(lambda: len(self.put_aside()) == 1)
        process.handle.signalProcess(signal.SIGTERM)
        await process.ended
        (aside,) = self.put_aside()
        records = [*_records(aside), *_records(self.log)]
        of_session = [record for record in records if "session" in record]
        self.assertEqual(len({record["session"] for record in of_session}), 1)
        self.assertIn("connected from", of_session[0]["event"])
        self.assertTrue(any("said" in record["event"] for record in of_session))
        self.assertNotIn("plus", _text(aside) + _text(self.log))

    async def get(self, url: str) -> str:
        """Fetch a page."""
        reply = await Agent(reactor).request(b"GET", url.encode())
        text: str = await treq.text_content(reply)
        return text


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _text(path).splitlines()]


def _values(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
