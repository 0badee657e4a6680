"""/metrics: our counters in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from bridge.core.counters import Counters

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Collector:
    """Reads the counters at each scrape; nothing is counted twice."""

    def __init__(self, stats: Callable[[], dict[str, Any]], sources: Callable[[], list[dict[str, Any]]]) -> None:
        self._stats = stats
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        stats = self._stats()
        for field, text in Counters.FIELDS.items():
            yield CounterMetricFamily(f"fleetwire_{field}", text, value=stats[field])
        rejected = CounterMetricFamily(
            "fleetwire_rejected", "messages or values not taken, by reason", labels=["reason"]
        )
        for reason, count in stats["rejected"].items():
            rejected.add_metric([reason], count)
        yield rejected
        for field, text in (
            ("devices", "devices known"),
            ("series", "series known"),
            ("operators", "dashboards connected"),
            ("delay_p50_ms", "arrival of a message to the writing of its frame, median of the last minute"),
            ("delay_p99_ms", "the same, 99th percentile"),
            ("broker_dropped", "messages that the broker says it dropped since we connected, for any of its clients"),
        ):
            if stats.get(field) is not None:  # not known: better no sample than a wrong one
                yield GaugeMetricFamily(f"fleetwire_{field}", text, value=stats[field])
        up = GaugeMetricFamily("fleetwire_source_up", "1 while the source is connected", labels=["source"])
        for source in self._sources():
            up.add_metric([source["name"]], float(source["state"] == "connected"))
        yield up


class MetricsPage:
    """Renders the page."""

    def __init__(self, stats: Callable[[], dict[str, Any]], sources: Callable[[], list[dict[str, Any]]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(stats, sources))

    def render(self) -> bytes:
        return generate_latest(self._registry)
