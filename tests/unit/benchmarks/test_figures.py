"""Statistics, the plan of cases, the tables, and the verdict."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.fanout.case import Result, judge
from benchmarks.fanout.dialects import PlainWebSocket
from benchmarks.fanout.messages import FIRST, payload
from benchmarks.fanout.plan import find_highest, run_matrix
from benchmarks.fanout.statistics import Receipt, fan_out_us, latency, per_message_us, ratio
from benchmarks.fanout.stream import ClientStream, Reference
from benchmarks.fanout.tables import comparison, figure, matrix, targets, times
from bridge.web.wire import frame


def test_latency_is_of_the_window_only() -> None:
    receipts = [Receipt(0.5, 0, 1), Receipt(1.010, 1, 3), Receipt(1.5, 3, 4), Receipt(2.0, 4, 5)]
    found = latency(receipts, [0.0, 1.0, 1.005, 1.4, 1.9], 1.0, 2.0)
    assert found.worst == pytest.approx(100)
    assert found.p50 == pytest.approx(10)
    assert math.isnan(latency(receipts, [0.0] * 5, 5.0, 6.0).p99)


def test_shares_and_ratios() -> None:
    assert per_message_us(1.0, 1_000_000) == pytest.approx(1.0)
    assert math.isnan(per_message_us(1.0, 0))
    assert fan_out_us(3.0, 200_000, 1.0, 100_000) == pytest.approx(20.0)
    assert ratio(10, 0.1) == pytest.approx(100)
    assert ratio(10, 0.0) == ratio(10, -0.1) == math.inf
    assert math.isnan(ratio(math.nan, 1))


@pytest.mark.parametrize(
    ("value", "text"), [(0.0563, "0.0563"), (12.34, "12.3"), (1234.5, "1,234"), (0.0, "0"), (math.nan, "-")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_ratios_as_text() -> None:
    assert (times(134.2), times(3.14), times(math.inf), times(math.nan)) == ("134x", "3.1x", "∞x", "-")


class Model:
    """A server that delivers so many messages a second, for 1 ms of CPU a second and 10 µs a delivery."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.ran: list[tuple[int, int]] = []

    def __call__(self, clients: int, rate: int) -> Result:
        self.ran.append((clients, rate))
        verdict = "held" if clients * rate <= self.limit else "not held"
        delivered = clients * rate
        cpu_s = 0.001 + delivered * 1e-5
        return Result(
            "ws", clients, rate, verdict=verdict, window_s=1.0, delivered=delivered, cpu_s=cpu_s, total_us=20.0
        )


def test_what_is_harder_than_a_case_not_held_is_not_tried() -> None:
    model = Model(limit=100_000)
    results = run_matrix((50, 200, 1000), (50, 500, 5000), model)
    assert len(results) == 12
    assert (1000, 500) in model.ran
    assert (1000, 5000) not in model.ran
    assert {r.verdict for r in results if (r.clients, r.rate) == (1000, 5000)} == {"skipped"}


def test_the_fan_out_share_is_what_the_others_cost() -> None:
    results = run_matrix((200,), (50,), Model(limit=100_000))
    assert results[-1].fan_out_us == pytest.approx(10.0)
    assert math.isnan(results[0].fan_out_us)


def test_the_highest_rate_is_found_and_compared_with_one_dashboard() -> None:
    model = Model(limit=80_000)
    results = run_matrix((200,), (50, 5000), model)
    best = find_highest(results, 200, model)
    assert best is not None
    assert best.rate == 350
    assert (1, 350) in model.ran
    assert best.fan_out_us == pytest.approx(10.0)


def test_no_search_where_everything_is_held_and_none_where_nothing_is() -> None:
    everything = Model(limit=10**9)
    results = run_matrix((200,), (50, 5000), everything)
    before = len(everything.ran)
    best = find_highest(results, 200, everything)
    assert best is not None
    assert (best.rate, len(everything.ran)) == (5000, before)
    nothing = Model(limit=1)
    assert find_highest(run_matrix((200,), (50,), nothing), 200, nothing) is None


def test_rivals_are_compared_at_the_rate_that_they_hold() -> None:
    ours = Result("fleetwire", 200, 5000, total_us=0.2, fan_out_us=0.05, p50_ms=20, p99_ms=50, memory_per_client=16384)
    theirs = Result("ws", 200, 350, total_us=12.0, fan_out_us=11.0)
    failed = Result("ws", 200, 5000, verdict="not held", total_us=1.0)
    titles = {"fleetwire": "Fleetwire", "ws": "ws", "other": "other"}
    text = comparison([ours, theirs, failed], titles, 200, 5000)
    row = next(line for line in text.splitlines() if line.startswith("| ws"))
    assert "350" in row
    assert "60x" in row
    assert "220x" in row
    assert "none" in text
    assert "not held" in matrix([ours, theirs, failed], titles, "total_us", (200,), (5000,))
    verdicts = targets([ours, theirs, failed], titles).splitlines()
    assert [line.split("|")[-2].strip() for line in verdicts[2:]] == ["reached"] * 3
    slow = targets([ours, replace(theirs, total_us=4.0), failed], titles).splitlines()
    assert [line.split("|")[-2].strip() for line in slow[2:]] == ["reached", "MISSED", "reached"]


def receivers(*clients: list[int]) -> Any:
    """As many clients that received messages with these numbers."""
    reference = Reference(PlainWebSocket().decode)
    streams = [ClientStream(reference, lambda *_: None) for _ in clients]
    for stream, numbers in zip(streams, clients, strict=True):
        stream.take(b"".join(frame(payload(FIRST + n, 0.0), is_text=True) for n in numbers))
    members = [SimpleNamespace(stream=stream) for stream in streams]
    return SimpleNamespace(reference=reference, clients=members, errors=list)


def verdict(*clients: list[int], **measured: Any) -> Result:
    values: dict[str, Any] = {"sent": 10, "achieved": 50.0, "offered": 50.0, "p99_ms": 5.0, **measured}
    result = Result("ws", len(clients), 50, **values)
    judge(result, receivers(*clients))
    return result


ALL = list(range(10))
DISTURBED = {"others_share": 1.5, "achieved": 40.0}


def test_held() -> None:
    result = verdict(ALL, ALL)
    assert (result.verdict, result.counted) == ("held", 20)


@pytest.mark.parametrize(
    ("clients", "why"),
    [
        ([ALL, ALL[:-1]], "1 missing"),
        ([ALL[:-1], ALL[:-1]], "2 missing"),  # nobody got it: only the publisher's count tells
        ([ALL, [0, 2, 1, *ALL[3:]]], "1 reordered"),
        ([ALL, [0, 0, *ALL[1:]]], "1 duplicates"),
        ([[0, 2, 1, *ALL[3:]]] * 2, "1 reordered"),
    ],
)
def test_one_fault_is_enough(clients: list[list[int]], why: str) -> None:
    result = verdict(*clients)
    assert result.verdict == "not held"
    assert why in result.why


@pytest.mark.parametrize(
    ("measured", "word"),
    [
        ({"p99_ms": 900.0}, "not held"),
        ({"p99_ms": math.nan}, "not held"),
        ({"dashboards_share": 0.95}, "invalid"),
        ({"achieved": 40.0}, "invalid"),
        ({"p99_ms": 900.0, "others_share": 0.5}, "invalid"),
        ({"others_share": 0.5}, "held"),
    ],
)
def test_bounds(measured: dict[str, float], word: str) -> None:
    assert verdict(ALL, ALL, **measured).verdict == word


def test_a_busy_machine_excuses_delay_and_loss_but_no_wrong_message() -> None:
    assert verdict(ALL, ALL[:-1], **DISTURBED).verdict == "invalid"
    assert verdict(ALL, [0, 0, *ALL[1:]], **DISTURBED).verdict == "not held"
    assert verdict(ALL, [0, 2, 1, *ALL[3:]], **DISTURBED).verdict == "not held"
