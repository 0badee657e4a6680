"""past.js, joined.js, wall_time.js, spans.js: what is asked of the history and when, and how its answers are used."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

PAST = """
const { Past } = await load('past');
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const asked = [];
let answer = () => ({});  // more of each series told, or an error to throw
let changes = 0;
const fetch = (question) => {
  asked.push(question);
  return new Promise((resolve, reject) => {
    question.signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
    question.answer = () => {
      const more = answer(question);
      if (more instanceof Error) return reject(more);
      const points = { times: Float64Array.of(question.from, question.to), values: Float64Array.of(1, 2), widthMs: 5 };
      const series = question.seriesIds.map((seriesId) => ({ seriesId, ...points, ...more }));
      return resolve({ fromMs: question.from, toMs: question.to, series });
    };
  });
};
const past = new Past({ now: () => 1_000_000, onChange: () => changes++, fetch });
const view = (fromMs, toMs, columns = 100) => ({ fromMs, toMs, columns });
"""


def run(tab: Tab, source: str, arg: Any = None) -> Any:
    return tab.js(PAST + source, arg)


def test_what_panels_want_is_one_question(tab: Tab) -> None:
    assert run(
        tab,
        """
        past.want([1, 2], view(0, 1000, 100));
        past.want([3], view(0, 1000, 240));
        await wait(20);
        const [{ seriesIds, from, to, points }] = asked;
        return [asked.length, seriesIds, from, to, points];
        """,
    ) == [1, [1, 2, 3], -250, 1250, 2 * 300 * 1.5 + 2]


def test_panels_of_different_width_do_not_ask_past_each_other(tab: Tab) -> None:
    assert (
        run(
            tab,
            """
        for (let i = 0; i < 5; i++) {
          past.want([1], view(0, 1000, 100));
          past.want([2], view(0, 1000, 900));
          await wait(10);
          asked.at(-1).answer();
          await wait(10);
        }
        return asked.length;
        """,
        )
        == 1
    )


def test_a_small_step_needs_no_question_and_a_closer_look_does(tab: Tab) -> None:
    assert run(
        tab,
        """
        const look = async (...args) => {
          past.want([1], view(...args));
          await wait(10);
          const count = asked.length;
          asked.at(-1).answer();
          await wait(10);
          return count;
        };
        return [await look(0, 1000), await look(200, 1200), await look(300, 1300), await look(400, 500),
                await look(420, 520), await look(300, 1300)];
        """,
    ) == [1, 1, 2, 3, 3, 3]


def test_every_reading_there_is_cannot_be_had_closer(tab: Tab) -> None:
    assert run(
        tab,
        """
        answer = () => ({ widthMs: 0 });
        past.want([1], view(0, 1000));
        await wait(10);
        asked[0].answer();
        await wait(10);
        past.want([1], view(400, 410));
        await wait(10);
        return [asked.length, [...past.get(1, view(400, 410)).times]];
        """,
    ) == [1, [-250, 1250]]


def test_a_new_picture_takes_the_question_back(tab: Tab) -> None:
    assert run(
        tab,
        """
        past.want([1], view(0, 1000));
        await wait(10);
        past.want([1], view(10, 1010));  // moves on: the question covers it
        await wait(10);
        const still = asked.length;
        past.want([1], view(5000, 6000));
        await wait(10);
        asked[0].answer();
        await wait(10);
        const dropped = past.get(1, view(0, 1000));
        asked[1].answer();
        await wait(10);
        const { fromMs } = past.get(1, view(5000, 6000));
        return [still, asked.length, asked[0].signal.aborted, dropped, fromMs, past.isLoading];
        """,
    ) == [1, 2, True, None, 4750, False]


def test_an_answer_that_comes_all_the_same_is_dropped(tab: Tab) -> None:
    assert run(
        tab,
        """
        const answers = [];
        past.fetch = ({ from }) => new Promise((resolve) => answers.push(() => {
          const one = { seriesId: 1, times: Float64Array.of(from), values: Float64Array.of(1), widthMs: 5 };
          resolve({ series: [one] });
        }));
        past.want([1], view(0, 1000));
        await wait(10);
        past.want([1], view(5000, 6000));
        await wait(10);
        answers[0]();
        await wait(10);
        return [answers.length, past.get(1, view(0, 1000)), past.isLoading];
        """,
    ) == [2, None, True]


def test_an_error_is_kept_and_not_repeated_at_once(tab: Tab) -> None:
    assert run(
        tab,
        """
        answer = () => Object.assign(new Error('too many'), { code: 'busy' });
        past.want([1], view(0, 1000));
        await wait(10);
        asked[0].answer();
        await wait(10);
        for (let i = 0; i < 3; i++) {
          past.want([1], view(i, 1000 + i));
          await wait(5);
        }
        const { code } = past.error;
        const spared = asked.length;
        past.want([1], view(90_000, 91_000));  // something else
        await wait(10);
        asked[1].answer();
        await wait(10);
        past.refresh();
        await wait(10);
        answer = () => ({});
        asked[2].answer();
        await wait(10);
        return [code, spared, asked.length, past.error, past.isOff];
        """,
    ) == ["busy", 1, 3, None, False]


def test_no_history_is_not_asked_again(tab: Tab) -> None:
    assert run(
        tab,
        """
        answer = () => Object.assign(new Error('none'), { code: 'no_history' });
        past.want([1], view(0, 1000));
        await wait(10);
        asked[0].answer();
        await wait(10);
        past.want([1], view(7000, 9000));
        await wait(10);
        return [past.isOff, asked.length];
        """,
    ) == [True, 1]


def test_a_series_that_is_not_there_does_not_cost_the_others_theirs(tab: Tab) -> None:
    assert run(
        tab,
        """
        const none = Object.assign(new Error("none"), { code: "not_found" });
        answer = ({ seriesIds }) => (seriesIds.includes(2) ? none : {});
        past.want([1, 2, 3], view(0, 1000));
        for (let i = 0; i < 4; i++) {
          await wait(10);
          past.want([1, 2, 3], view(0, 1000));
          asked.at(-1).answer();
        }
        await wait(10);
        past.want([1, 2, 3], view(0, 1000));
        await wait(10);
        const known = [1, 2, 3].map((id) => past.get(id, view(0, 1000)) !== null);
        return [asked.map(({ seriesIds }) => seriesIds.join()), known, [...past.unknown], past.error];
        """,
    ) == [["1,2,3", "1", "2", "3"], [True, False, True], [2], None]


def test_what_is_kept_is_bounded(tab: Tab) -> None:
    kept, answers = run(
        tab,
        """
        answer = () => ({ times: new Float64Array(300_000), values: new Float64Array(300_000) });
        for (let i = 0; i < 8; i++) {
          past.want([i % 3], view(i * 10_000, i * 10_000 + 1000));
          await wait(5);
          asked.at(-1).answer();
          await wait(5);
        }
        const all = [...past.answers.values()].flat();
        return [all.reduce((sum, one) => sum + one.times.length, 0), all.length];
        """,
    )
    assert kept <= 1_000_000
    assert answers == kept / 300_000


def test_a_series_that_the_answer_leaves_out_is_not_asked_for_for_ever(tab: Tab) -> None:
    assert (
        run(
            tab,
            """
        past.fetch = (question) => { asked.push(question); return Promise.resolve({ series: [] }); };
        for (let i = 0; i < 4; i++) {
          past.want([1], view(0, 1000));
          await wait(10);
        }
        return asked.length;
        """,
        )
        == 1
    )


JOINED = """
const { JoinedSamples } = await load('joined');
const { SampleRing } = await load('rings');
const { decimate } = await load('decimate');
const { runs } = await load('draw/strip');
const ring = (...all) => { const one = new SampleRing(64); for (const [t, v] of all) one.push(t, v); return one; };
const answer = (times, values, extra = {}) => ({ times: Float64Array.from(times), values: Float64Array.from(values),
  fromMs: 0, toMs: 1000, knownMs: 1000, widthMs: 0, ...extra });
const samples = (one) => Array.from({ length: one.length }, (_, i) => [one.time(i), one.value(i)]);
const line = (one, from, to, gap) => { const { x, y } = decimate(one, from, to, 100, gap, (a, b) => one.mergedMs(a, b));
  return [[...x], [...y].map((v) => (Number.isNaN(v) ? null : v))]; };
"""


def test_the_history_counts_as_far_as_it_goes(tab: Tab) -> None:
    assert tab.js(
        JOINED
        + """
        const heard = ring([5, 9], [20, 9], [30, 9], [40, 4], [50, 5]);
        const one = new JoinedSamples(answer([10, 20, 30], [1, 2, 3]), heard);
        const alone = new JoinedSamples(null, ring([5, 9], [6, 8]));
        const none = new JoinedSamples(null, undefined);
        return [samples(one), one.lowerBound(31), one.lowerBound(99), samples(alone), none.length, none.lowerBound(0)];
        """
    ) == [[[10, 1], [20, 2], [30, 3], [40, 4], [50, 5]], 3, 5, [[5, 9], [6, 8]], 0, 0]


def test_pixels_of_the_history_are_no_holes_and_silence_after_it_is(tab: Tab) -> None:
    assert tab.js(
        JOINED
        + """
        // Points 100 apart, where the usual interval is 1: the server has marked the one gap there is.
        const past = answer([100, 200, 250, 300], [1, 2, NaN, 3], { widthMs: 40, knownMs: 330 });
        const near = new JoinedSamples(past, ring([331, 4], [332, 5]));
        const far = new JoinedSamples(past, ring([400, 4], [401, 5]));
        return [line(near, 0, 500, 5)[1], line(far, 0, 500, 5)[1]];
        """
    ) == [[1, 2, None, 3, 4, 5], [1, 2, None, 3, None, 4, 5]]


def test_what_nobody_has_asked_about_is_not_drawn_over(tab: Tab) -> None:
    assert tab.js(
        JOINED
        + """
        const one = new JoinedSamples(answer([10, 20], [1, 2]), ring([5000, 3], [5001, 4]));
        return [samples(one).map(([t, v]) => [t, Number.isNaN(v) ? null : v]), line(one, 0, 6000, Infinity)[1]];
        """
    ) == [[[10, 1], [20, 2], [1000, None], [5000, 3], [5001, 4]], [1, 2, None, 3, 4]]


def test_a_wanted_value_holds_over_gaps_and_a_state_up_to_what_is_known(tab: Tab) -> None:
    assert tab.js(
        JOINED
        + """
        const held = new JoinedSamples(answer([10, 20, 30], [1, NaN, 3]), null, { holds: true });
        const past = answer([10, 60], [1, 2], { knownMs: 90, widthMs: 50 });
        const states = new JoinedSamples(past, ring([200, 2], [201, 2]));
        const parts = runs(states, 0, 300, 5, (a, b) => states.mergedMs(a, b));
        return [samples(held), parts.map(({ from, to, value }) => [from, to, value])];
        """
    ) == [[[10, 1], [30, 3]], [[10, 60, 1], [60, 90, 2], [200, 201, 2]]]


def test_a_line_leaves_the_picture_on_both_sides(tab: Tab) -> None:
    assert tab.js(
        JOINED
        + """
        const one = new JoinedSamples(answer([0, 1000], [1, 2]), null);
        return line(one, 400, 600, Infinity);
        """
    ) == [[0, 1000], [1, 2]]


@pytest.mark.parametrize(
    ("at", "days", "expected"),
    [
        ("2026-03-29T12:00:00+02:00", 1, "2026-03-28T12:00:00+01:00"),  # the day has 23 hours
        ("2026-10-25T12:00:00+01:00", 1, "2026-10-24T12:00:00+02:00"),  # and 25
        ("2026-04-02T08:00:00+02:00", 7, "2026-03-26T08:00:00+01:00"),
        ("2026-07-01T00:00:00+02:00", 7, "2026-06-24T00:00:00+02:00"),
    ],
)
def test_a_day_before_is_by_the_calendar(fresh_tab: Tab, at: str, days: int, expected: str) -> None:
    set_time_zone(fresh_tab, "Europe/Berlin")
    try:
        assert (
            fresh_tab.js(
                "return (await load('wall_time')).daysBefore(Date.parse(arg.at), arg.days) - Date.parse(arg.expected);",
                {"at": at, "days": days, "expected": expected},
            )
            == 0
        )
    finally:
        set_time_zone(fresh_tab, "")


def test_wall_time_is_right_on_both_sides_of_a_change(fresh_tab: Tab) -> None:
    set_time_zone(fresh_tab, "Europe/Berlin")
    try:
        told = fresh_tab.js(
            """
            const { wallTime } = await load('wall_time');
            const at = (text) => Date.parse(text);
            const iso = (wall) => new Date(wall).toISOString().slice(0, 16);
            const long = wallTime(at('2026-03-01T00:00Z'), at('2026-04-30T00:00Z'));
            const short = wallTime(at('2026-03-28T22:00Z'), at('2026-03-29T22:00Z'));
            const there = [at('2026-03-10T12:00Z'), at('2026-04-10T12:00Z'), at('2026-03-29T01:30Z')];
            const isBack = there.every((ms) => long.toMs(long.toWall(ms)) === ms);
            return [iso(long.toWall(there[0])), iso(long.toWall(there[1])), isBack,
                    iso(short.toWall(at('2026-03-29T00:30Z'))), short.toMs(short.toWall(7)) === 7];
            """
        )
        assert told == ["2026-03-10T13:00", "2026-04-10T14:00", True, "2026-03-29T02:30", True]
    finally:
        set_time_zone(fresh_tab, "")


def set_time_zone(tab: Tab, name: str) -> None:
    """Of the browser; an empty name is the machine's."""
    tab.do(lambda page: page.context.new_cdp_session(page).send("Emulation.setTimezoneOverride", {"timezoneId": name}))


def test_lengths_and_spans_in_words(tab: Tab) -> None:
    assert tab.js(
        """
        const { parseLength, lengthWord, lengthLabel, formatSpan, scaled, moved, isAtEnd } = await load('spans');
        const at = (...parts) => new Date(...parts).getTime();
        return [
          ['6h', '15min', '7d', '90s', '0s', '-1h', '1y', '', null, '99999999999h'].map(parseLength),
          [21_600_000, 86_400_000, 61_000, 1234].map(lengthWord),
          [60_000, 300_000, 86_400_000, 604_800_000, 31_536_000_000].map(lengthLabel),
          formatSpan(at(2026, 2, 1, 8, 5), at(2026, 2, 1, 9, 30)),
          formatSpan(at(2026, 2, 1, 8, 5), at(2026, 2, 1, 8, 6, 7)),
          formatSpan(at(2026, 1, 28, 22), at(2026, 2, 1, 2)),
          [scaled({ fromMs: 0, toMs: 100 }, 2), moved({ fromMs: 0, toMs: 100 }, -1)],
          [isAtEnd({ fromMs: 0, toMs: 100 }, 104), isAtEnd({ fromMs: 0, toMs: 100 }, 106)],
        ];
        """
    ) == [
        [21_600_000, 900_000, 604_800_000, 90_000, None, None, None, None, None, None],
        ["6h", "1d", "61s", "1s"],
        ["minute", "5 minutes", "24 hours", "7 days", "year"],
        "2026-03-01 08:05 – 09:30",
        "2026-03-01 08:05:00 – 08:06:07",
        "2026-02-28 22:00 – 2026-03-01 02:00",
        [{"fromMs": -50, "toMs": 150}, {"fromMs": -50, "toMs": 50}],
        [True, False],
    ]
