"""text.js: what Plotly must not read as markup; and Plotly itself, to see that it does not."""

from __future__ import annotations

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '<a href="https://example.org">click</a>',
    '<a href="javascript:alert(1)">click</a>',
    '<span style="font-size:200px">big</span>',
    "%{customdata} %{y}",
    "$\\href{javascript:alert(1)}{x}$",
    "&lt;img src=x&gt; &#60;b&#62;",
    "<br>" * 1_000,
    "a\u202eb\u2028c\u0000d",
]


def test_nothing_is_left_that_means_something(fresh_tab: Tab) -> None:
    for text in HOSTILE:
        clean = fresh_tab.js("return (await load('text')).plotlyText(arg);", text)
        assert len(clean) <= 80
        assert not set(clean) & set("<>&%${}\\\u202e\u2028\u0000")


def test_plain_text_stays_as_it_is(fresh_tab: Tab) -> None:
    assert fresh_tab.js("return (await load('text')).plotlyText(arg);", "CO₂, Hall 2 (µg/m³)") == "CO₂, Hall 2 (µg/m³)"
    assert fresh_tab.js("return (await load('text')).plotlyText(null);") == ""


@pytest.mark.timeout(120)
def test_plotly_shows_hostile_names_as_text(fresh_tab: Tab) -> None:
    found = fresh_tab.js(
        """
        const { Chart } = await load('chart');
        const { SampleRing } = await load('rings');
        const { decimate } = await load('decimate');
        const element = document.createElement('div');
        element.style.cssText = 'width:600px;height:240px';
        document.body.append(element);
        const chart = new Chart(element, () => {});
        await chart.load();
        await new Promise((resolve) => setTimeout(resolve, 100));
        const now = Date.now();
        const ring = new SampleRing(64);
        for (let i = 0; i < 60; i++) ring.push(now - 60_000 + i * 1000, i);
        const line = decimate(ring, now - 60_000, now, 300, Infinity);
        const traces = arg.map((name) => ({ name, unit: name, precision: 1, colour: '#1a66ad', isStep: false, line }));
        chart.draw(traces, now - 60_000, now);
        const shown = element.querySelector('.nsewdrag').getBoundingClientRect();
        window.Plotly.Fx.hover(element, { xpx: shown.width / 2, ypx: shown.height / 2 }, 'xy');
        await new Promise((resolve) => setTimeout(resolve, 300));
        const hover = element.querySelector('.hoverlayer').textContent;
        const strange = [...element.querySelectorAll('a, img, script, foreignObject')].length;
        const active = ({ name, value }) =>
          name.startsWith('on') || (/href|src|style/.test(name) && /javascript:/i.test(value));
        const handlers = [...element.querySelectorAll('*')].filter((node) => [...node.attributes].some(active)).length;
        const big = [...element.querySelectorAll('.hoverlayer tspan')].some((node) => /200px/.test(node.style.cssText));
        chart.remove();
        return { strange, handlers, big, hover, drawn: line.points };
        """,
        HOSTILE,
    )
    assert found["drawn"] == 60
    assert (found["strange"], found["handlers"], found["big"]) == (0, 0, False)
    assert "onerror=alert(1)" in found["hover"]  # it was shown, as the text it is
