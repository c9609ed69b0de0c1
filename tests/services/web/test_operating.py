"""Pages for whoever runs the server: who may see them, and what they tell."""

from __future__ import annotations

from autobahn.twisted.websocket import WebSocketServerFactory
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request

from tests.http import Reply, ask, send
from tests.services.open_house import nobody
from tests.services.web.test_ota import NOW
from xiaozhi.services.counters import METRICS, Counters
from xiaozhi.services.devices import Devices
from xiaozhi.services.lag import EVERY, Lag
from xiaozhi.services.web.health import Alive, Condition, Ready
from xiaozhi.services.web.metrics import Metrics
from xiaozhi.services.web.ota import Offer
from xiaozhi.services.web.site import site
from xiaozhi.upkeep import Metrics as Settings

NETWORKS = Settings().open_to


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.counters = Counters()
        self.conditions: dict[str, Condition] = {"llm": lambda: "", "port": lambda: ""}
        pages = {
            "healthz": Alive(NETWORKS),
            "readyz": Ready(NETWORKS, self.conditions),
            "metrics": Metrics(NETWORKS, self.counters),
        }
        offer = Offer(None, 1, lambda: NOW)
        self.site = site(WebSocketServerFactory(), offer, Devices(), nobody(), pages)

    def get(self, path: str, **headers: str) -> Reply:
        return ask(self.site, "GET", path, headers)


class Guard(Case):
    def test_networks(self) -> None:
        """Networks nobody else is in may look; others, and those behind a proxy, may not."""
        for address, status in (
            ("192.168.1.9", 200),
            ("172.16.0.1", 200),
            ("172.32.0.1", 403),
            ("::1", 200),
            ("fe80::1%eth0", 200),
            ("2001:db8::1", 403),
            ("::ffff:10.0.0.1", 200),
            ("::ffff:8.8.8.8", 403),
            ("unix", 403),
        ):
            self.patch(Request, "getClientAddress", lambda _, a=address: IPv4Address("TCP", a, 1))
            for path in ("/healthz", "/readyz", "/metrics"):
                self.assertEqual(self.get(path).status, status, (address, path))

    def test_proxy(self) -> None:
        """Who comes through a proxy is judged by whom it speaks for, too."""
        for chain, status in (
            ("192.168.1.7", 200),
            ("203.0.113.9", 403),
            ("10.0.0.1, 203.0.113.9", 403),
            ("203.0.113.9, 10.0.0.1", 403),
            ("nonsense", 403),
            ("", 403),
        ):
            self.assertEqual(self.get("/metrics", **{"X-Forwarded-For": chain}).status, status)
        for name, told in (("X-Real-IP", "203.0.113.9"), ("Forwarded", "for=203.0.113.9")):
            self.assertEqual(self.get("/metrics", **{name: told}).status, 403, name)

    def test_garbled_proxy(self) -> None:
        """What is no UTF-8 is no address of a network that may look."""
        protocol, transport = send(self.site, "GET", "/", None, b"", 8000)
        protocol.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: \x89\r\n\r\n")
        protocol.connectionLost(None)
        self.assertIn(b"HTTP/1.1 403 ", transport.value())


class Health(Case):
    def test_alive(self) -> None:
        """A server that answers is alive."""
        self.assertEqual(self.get("/healthz").body, b"ok\n")

    def test_ready(self) -> None:
        """It is ready as long as nothing is in the way, and says what is."""
        reply = self.get("/readyz")
        self.assertEqual((reply.status, reply.json()), (200, {"ready": True, "reasons": {}}))
        self.conditions["llm"] = lambda: "no language model can serve now"
        reply = self.get("/readyz")
        self.assertEqual(reply.status, 503)
        self.assertEqual(
            reply.json(), {"ready": False, "reasons": {"llm": "no language model can serve now"}}
        )


class Read(Case):
    def test_values(self) -> None:
        """Prometheus reads what was counted, and how the process does."""
        self.counters.count("connections_refused", reason='fu"ll\n')
        self.counters.count("frames_sent", 7)
        self.counters.gauge("sessions", lambda: 3, state="idle")
        self.counters.observe("turn_latency", 0.3)
        self.counters.observe("turn_latency", 0.07)
        reply = self.get("/metrics", Accept="text/plain")
        self.assertIn("text/plain", reply.headers["content-type"])
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(reply.body.decode())
            for sample in family.samples
        }
        for key, value in {
            ("xiaozhi_connections_refused_total", 'fu"ll\n'): 1,
            ("xiaozhi_frames_sent_total",): 7,
            ("xiaozhi_frames_received_total",): 0,
            ("xiaozhi_sessions", "idle"): 3,
            ("xiaozhi_turn_latency_seconds_bucket", "0.05"): 0,
            ("xiaozhi_turn_latency_seconds_bucket", "0.1"): 1,
            ("xiaozhi_turn_latency_seconds_bucket", "0.5"): 2,
            ("xiaozhi_turn_latency_seconds_bucket", "+Inf"): 2,
            ("xiaozhi_turn_latency_seconds_count",): 2,
        }.items():
            self.assertEqual(samples.get(key), value, key)
        self.assertGreater(samples["process_resident_memory_bytes",], 1e6)

    def test_all(self) -> None:
        """Every metric is there, with its explanation, before anything has happened."""
        text = self.get("/metrics").body.decode()
        for name, metric in METRICS.items():
            self.assertIn(f"# HELP {metric.exported(name)} {metric.help}\n", text)


class Lateness(SynchronousTestCase):
    def test_lag(self) -> None:
        """How late the timers ring is counted, until it stops."""
        counters, clock = Counters(), Clock()
        lag = Lag(counters, clock)
        lag.startService()
        clock.advance(EVERY)
        clock.advance(EVERY + 0.02)
        lag.stopService()
        ((_, spread),) = counters.spreads("reactor_lag")
        self.assertEqual((spread.counts[0], spread.counts[4]), (1, 1))
        self.assertAlmostEqual(spread.total, 0.02)
        self.assertEqual(clock.getDelayedCalls(), [])
