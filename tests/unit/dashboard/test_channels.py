"""channels.js: offsets, gaps, and what a returning page asks for."""

from __future__ import annotations

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

HEAD = """
const { Channels } = await load('channels');
const channels = new Channels();
const fleet = channels.add('fleet');
const snapshot = (id, offset, extra = {}) =>
  channels.snapshot({ id, channel: 'fleet', channel_no: 4, epoch: 'e1', offset, ...extra });
"""


def test_the_first_subscription_asks_for_everything(tab: Tab) -> None:
    assert tab.js(HEAD + "return channels.subscribeMessage(fleet);") == {
        "type": "subscribe",
        "id": "s1",
        "channel": "fleet",
    }


def test_after_a_break_it_resumes_behind_the_last_message_it_has(tab: Tab) -> None:
    message = tab.js(
        HEAD
        + """
        channels.subscribeMessage(fleet);
        snapshot('s1', 10);
        for (const offset of [11, 12, 13]) channels.advance(fleet, offset);
        channels.disconnected();
        return channels.subscribeMessage(fleet);
        """
    )
    assert message == {"type": "subscribe", "id": "s2", "channel": "fleet", "epoch": "e1", "offset": 13}


def test_every_message_once_and_none_skipped(tab: Tab) -> None:
    verdicts = tab.js(
        HEAD
        + """
        channels.subscribeMessage(fleet);
        const early = channels.advance(fleet, 11);
        snapshot('s1', 10);
        return [early, ...[11, 11, 10, 12, 14, 13].map((offset) => channels.advance(fleet, offset)),
                channels.advance(undefined, 1)];
        """
    )
    # Before the snapshot, twice the same, an old one, a gap; the gap leaves the offset where it was.
    assert verdicts == ["ignore", "apply", "ignore", "ignore", "apply", "gap", "apply", "ignore"]


def test_an_answer_to_a_subscription_that_was_given_up_counts_for_nothing(tab: Tab) -> None:
    assert tab.js(
        HEAD
        + """
        channels.subscribeMessage(fleet);
        channels.subscribeMessage(fleet);
        const late = snapshot('s1', 99);
        return [late, fleet.offset, channels.byNumber.size];
        """
    ) == [None, None, 0]


def test_a_channel_that_is_left_is_no_longer_found_by_its_number(tab: Tab) -> None:
    assert tab.js(
        HEAD
        + """
        channels.subscribeMessage(fleet);
        snapshot('s1', 1);
        const before = channels.byNumber.has(4);
        channels.remove('fleet');
        return [before, channels.byNumber.has(4), channels.byName.size];
        """
    ) == [True, False, 0]
