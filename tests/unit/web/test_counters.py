"""/metrics: every counter, in the form that Prometheus reads."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from bridge.core.counters import Counters
from tests.unit.web.helpers import BEARER, Site


async def test_every_counter_is_on_the_page_and_the_page_can_be_parsed(site: Site) -> None:
    async with site.http.get(f"{site.url}/metrics", headers=BEARER) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}

    for field, text in Counters.FIELDS.items():
        assert families[f"fleetwire_{field}"].documentation == text
        assert families[f"fleetwire_{field}"].type == "counter"
    assert [(s.labels, s.value) for s in families["fleetwire_rejected"].samples] == [({"reason": "binary"}, 3.0)]
    assert [s.value for s in families["fleetwire_series"].samples] == [2.0]
    assert [(s.labels["source"], s.value) for s in families["fleetwire_source_up"].samples] == [
        ("mqtt", 1.0),
        ('odd "name"\n', 0.0),
    ]
