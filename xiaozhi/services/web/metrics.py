"""The metrics, as Prometheus reads them (`/metrics`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from twisted.web.http import Request

from xiaozhi.services.counters import METRICS, Counters
from xiaozhi.services.web.guard import Guarded


class Metrics(Guarded):
    """Tells the values of all metrics, and of the process."""

    def __init__(self, networks: Iterable[str], counters: Counters) -> None:
        """Tell the values of `counters` to `networks`."""
        super().__init__(networks)
        self._registry = CollectorRegistry()
        self._registry.register(_Counted(counters))
        ProcessCollector(registry=self._registry)

    def render_GET(self, request: Request) -> bytes:
        """Write them in the format that is asked for."""
        encode, content_type = choose_encoder(request.getHeader("Accept") or "")
        request.setHeader("Content-Type", content_type)
        return encode(self._registry)


class _Counted(Collector):
    """Reads the counters for Prometheus's own library."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its values."""
        for name, metric in METRICS.items():
            exported = metric.exported(name)
            if metric.kind == "histogram":
                yield self._histogram(name, exported)
                continue
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            made = family(exported, metric.help, labels=metric.labels)
            for labels, value in self._counters.values(name):
                made.add_metric(labels, value)
            yield made

    def _histogram(self, name: str, exported: str) -> Metric:
        metric = METRICS[name]
        made = HistogramMetricFamily(exported, metric.help, labels=metric.labels)
        ends = [*map(str, metric.classes), "+Inf"]
        for labels, spread in self._counters.spreads(name):
            made.add_metric(
                labels, list(zip(ends, accumulate(spread.counts), strict=True)), spread.total
            )
        return made
