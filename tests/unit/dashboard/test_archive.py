"""Questions to the history over HTTP: what is asked, how binary columns are read, what errors say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from tests.unit.dashboard.conftest import Tab
from tests.unit.dashboard.played_archive import encode_columns

pytestmark = pytest.mark.browser

Body = bytes | str


class Endpoint:
    """One answer to everything below /api/v1/, and what was asked."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.status = 200
        self.type = "application/json"
        self.body: Body = "{}"
        self.is_dead = False
        self.never = False

    def handle(self, route: Route) -> None:
        self.urls.append(route.request.url.partition("/api/v1/")[2])
        if self.is_dead:
            route.abort()
        elif not self.never:
            route.fulfill(status=self.status, content_type=self.type, body=self.body)


@pytest.fixture
def endpoint(fresh_tab: Tab) -> Iterator[Endpoint]:
    endpoint = Endpoint()
    pattern = "**/api/v1/**"

    def start(page: Page) -> None:
        page.route(pattern, endpoint.handle)

    fresh_tab.do(start)
    yield endpoint
    fresh_tab.do(lambda page: page.unroute_all(behavior="ignoreErrors"))


def series(series_id: int, count: int, **extra: Any) -> dict[str, Any]:
    told = {"series_id": series_id, "device_id": "d", "metric": f"m{series_id}", "name": "", "kind": "number"}
    rest = {"unit": "°C", "precision": 1, "texts": [], "resolution": "minutes", "width_ms": 60_000, "count": count}
    return told | rest | extra


HISTORY = """
const { fetchHistory } = await load('archive');
const { fromMs, toMs, series } = await fetchHistory({ seriesIds: [7, 8], from: 1000.6, to: 2000.2, points: 1199.5 });
return { fromMs, toMs, series: series.map((one) => ({ ...one, times: [...one.times],
         values: [...one.values].map(String),
         mapped: one.times instanceof Float64Array && one.times.buffer === one.values.buffer })) };
"""


def test_columns_are_mapped_and_named(fresh_tab: Tab, endpoint: Endpoint) -> None:
    head = {"from_ms": 1000, "to_ms": 2001, "points": 1200}
    first = series(7, 3, name="Temperature")
    second = series(8, 1, kind="text", texts=["idle", "Ω <b>"], unit="", precision=None)
    columns = [([1000.5, 1500.0, 1999.125], [1.5, float("nan"), -3e300]), ([1700.0], [1.0])]
    endpoint.body = encode_columns({**head, "series": [first, second]}, columns)
    told = fresh_tab.js(HISTORY)
    assert endpoint.urls == ["history?series_id=7&series_id=8&from=1000&to=2001&points=1200&format=binary"]
    assert (told["fromMs"], told["toMs"]) == (1000, 2001)
    one, other = told["series"]
    assert one["times"] == [1000.5, 1500, 1999.125]
    assert one["values"] == ["1.5", "NaN", "-3e+300"]
    assert one["mapped"]
    assert (one["seriesId"], one["deviceId"], one["metric"], one["name"]) == (7, "d", "m7", "Temperature")
    assert (one["resolution"], one["widthMs"], one["unit"], one["precision"]) == ("minutes", 60_000, "°C", 1)
    assert (other["name"], other["texts"], other["values"], other["precision"]) == (
        "m8",
        ["idle", "Ω <b>"],
        ["1"],
        None,
    )


def test_nothing_is_an_answer_too(fresh_tab: Tab, endpoint: Endpoint) -> None:
    endpoint.body = encode_columns({"from_ms": 0, "to_ms": 1, "series": [series(7, 0)]}, [([], [])])
    assert [one["times"] for one in fresh_tab.js(HISTORY)["series"]] == [[]]


FAILS = """
const archive = await load('archive');
try {
  await archive[arg.name]({ seriesIds: [1], from: 0, to: 1, points: 10, kinds: [] });
} catch (error) {
  return [error instanceof archive.ArchiveError, error.code, error.message];
}
"""


@pytest.mark.parametrize("name", ["fetchHistory", "fetchStatistics", "fetchEvents", "fetchSpan"])
def test_errors_have_the_servers_words(fresh_tab: Tab, endpoint: Endpoint, name: str) -> None:
    endpoint.status, endpoint.body = 404, '{"error": {"code": "no_history", "message": "Nothing is recorded here."}}'
    assert fresh_tab.js(FAILS, {"name": name}) == [True, "no_history", "Nothing is recorded here."]
    endpoint.status, endpoint.body = 502, "<html>bad gateway</html>"
    assert fresh_tab.js(FAILS, {"name": name}) == [True, "http_502", "The server answered with 502."]
    endpoint.is_dead = True
    assert fresh_tab.js(FAILS, {"name": name})[1] == "unreachable"
    fresh_tab.complaints.clear()  # the browser logs failed requests as errors


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x08\x00\x00\x00{}",
        b"\xff\xff\xff\xff{}  ",
        encode_columns({"from_ms": 0, "to_ms": 1, "series": [series(7, 2)]}, [([1.0], [1.0])]),
        encode_columns({"from_ms": 0, "to_ms": 1, "series": [series(7, -1)]}, [([], [])]),
        encode_columns({"from_ms": 0, "to_ms": 1, "series": [3]}, []),
    ],
)
def test_what_is_cut_off_or_nonsense_is_an_error(fresh_tab: Tab, endpoint: Endpoint, body: bytes) -> None:
    endpoint.body = body
    assert fresh_tab.js(FAILS, {"name": "fetchHistory"})[:2] == [True, "bad_answer"]


def test_a_question_can_be_taken_back(fresh_tab: Tab, endpoint: Endpoint) -> None:
    endpoint.never = True
    told = fresh_tab.js(
        """
        const { fetchHistory } = await load('archive');
        const abort = new AbortController();
        const asked = fetchHistory({ seriesIds: [1], from: 0, to: 1, points: 10, signal: abort.signal });
        abort.abort();
        return asked.then(() => 'answered', (error) => error.name);
        """
    )
    assert told == "AbortError"


def test_statistics_events_and_span(fresh_tab: Tab, endpoint: Endpoint) -> None:
    endpoint.body = (
        '{"statistics": [{"series_id": 1, "count": 2, "min": -1, "max": 3, "mean": 1, "first": 3, "last": -1,'
        ' "min_time_ms": 20.5, "max_time_ms": 10}, {"series_id": 2, "count": 0, "min": null}]}'
    )
    told = fresh_tab.js(
        "return (await load('archive')).fetchStatistics({ seriesIds: [1, 2], from: 5, to: 9 });",
    )
    assert told[0]["minTimeMs"] == 20.5
    assert (told[0]["mean"], told[1]["count"], told[1]["min"], told[1]["maxTimeMs"]) == (1, 0, None, None)
    endpoint.body = (
        '{"events": [{"event_id": 4, "time_ms": 7, "kind": "note", "device_id": null, "data": {"text": "x"}}]}'
    )
    told = fresh_tab.js(
        """
        const { fetchEvents } = await load('archive');
        const kinds = ['note', 'command'];
        return fetchEvents({ from: 1, to: 2, kinds, deviceId: 'a/b&c', limit: 5, order: 'oldest' });
        """
    )
    assert told == [{"eventId": 4, "timeMs": 7, "kind": "note", "deviceId": None, "data": {"text": "x"}}]
    assert endpoint.urls[-1] == "events?from=1&to=2&kind=note&kind=command&device_id=a%2Fb%26c&limit=5&order=oldest"
    endpoint.body = '{"first_ms": 5, "last_ms": null, "now_ms": 9, "kept_from_ms": {"readings": 1}}'
    told = fresh_tab.js("return (await load('archive')).fetchSpan();")
    assert told == {"firstMs": 5, "lastMs": None, "nowMs": 9, "keptFromMs": {"readings": 1}}
    assert endpoint.urls[-1] == "span"


def test_addresses_of_downloads(fresh_tab: Tab) -> None:
    assert fresh_tab.js(
        """
        const { downloadUrl } = await load('archive');
        return [downloadUrl('history', { seriesIds: [1, 2], from: 10, to: 20, format: 'csv', tz: 'Europe/Berlin' }),
                downloadUrl('report', { deviceId: 'a&b', from: 10, to: 20, format: 'html', title: '' })];
        """
    ) == [
        "/api/v1/history?series_id=1&series_id=2&from=10&to=20&format=csv&tz=Europe%2FBerlin",
        "/api/v1/report?from=10&to=20&device_id=a%26b&format=html",
    ]
