"""clock.js and backoff.js: the server's time, and how long to wait."""

from __future__ import annotations

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser


def test_the_best_round_trip_decides(tab: Tab) -> None:
    offset, latency = tab.js(
        """
        const { ServerClock } = await load('clock');
        let now = 0;
        const clock = new ServerClock(() => now);
        const ping = (out, back) => {
          const sent = now;
          now += out + back;
          clock.pong(sent, sent + out + 5_000);
        };
        ping(10, 10);
        ping(5, 400);
        return [clock.offsetMs, clock.latencyMs];
        """
    )
    assert offset == 5_000
    assert latency == 405


def test_a_clock_that_was_set_is_followed_at_once(tab: Tab) -> None:
    assert (
        tab.js(
            """
            const { ServerClock } = await load('clock');
            let now = 1_000_000;
            const clock = new ServerClock(() => now);
            clock.pong(now - 10, now - 5);
            now += 3_600_000;  // somebody set this computer's clock, not the server's
            clock.pong(now - 20, now - 10 - 3_600_000);
            return clock.offsetMs;
            """
        )
        == -3_600_000
    )


def test_how_wrong_it_can_be_is_half_the_best_round_trip_and_our_resolution(tab: Tab) -> None:
    assert tab.js(
        """
        const { ServerClock } = await load('clock');
        let now = 0;
        const clock = new ServerClock(() => now);
        const ping = (rtt) => {
          const sent = now;
          now += rtt;
          clock.pong(sent, sent + rtt / 2);
          return clock.uncertaintyMs;
        };
        const before = clock.uncertaintyMs;
        const after = [ping(20), ping(4), ping(900)];
        clock.reset(0);
        return [before, ...after, clock.uncertaintyMs];
        """
    ) == [None, 11, 3, 3, None]


def test_the_wait_grows_is_spread_and_has_bounds(tab: Tab) -> None:
    waits = tab.js(
        """
        const { backoffMs } = await load('backoff');
        const tries = [0, 1, 2, 3, 6, 7, 50, 5000];
        return [tries.map((n) => backoffMs(n, 0)), tries.map((n) => backoffMs(n, 0.999999))];
        """
    )
    assert waits[0] == [500] * 8  # full jitter: never sooner than half a second, at any try
    assert waits[1] == [1_000, 1_000, 2_000, 4_000, 30_000, 30_000, 30_000, 30_000]
