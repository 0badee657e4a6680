"""The form in the document: what it sends, when it asks, what it shows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

SHOW = """
const { CommandForm } = await load('views/command_form');
window.sent = [];
window.form = new CommandForm(arg.name, arg.info, (args) => {
  if (arg.offline) return null;
  window.sent.push(JSON.stringify(args));
  return { id: 'c1', device_id: 'a', name: arg.name, args, state: 'sending', times: { sending: 1000 } };
});
document.body.replaceChildren(window.form.element);
"""

ALL_TYPES = {
    "title": "Everything",
    "schema": {
        "type": "object",
        "properties": {
            "value": {"type": "number", "minimum": 5, "maximum": 30, "default": 21, "unit": "°C"},
            "count": {"type": "integer", "minimum": 1},
            "on": {"type": "boolean", "default": True},
            "mode": {"enum": ["auto", "heat"], "default": "heat"},
            "note": {"type": "string"},
            "more": {"type": "object"},
        },
        "required": ["value"],
    },
}


def show(tab: Tab, info: dict[str, Any], name: str = "go", **more: Any) -> None:
    tab.js(SHOW, {"name": name, "info": info, **more})


def sent(tab: Tab) -> Any:
    return tab.js("return window.sent.map((text) => JSON.parse(text));")


def press(tab: Tab, testid: str = "command-send") -> None:
    tab.do(lambda page: page.get_by_test_id(testid).click())


def test_defaults_are_sent_and_empty_fields_are_not(fresh_tab: Tab) -> None:
    show(fresh_tab, ALL_TYPES)
    press(fresh_tab)
    assert sent(fresh_tab) == [{"value": 21, "on": True, "mode": "heat"}]


def test_every_control_reaches_the_arguments(fresh_tab: Tab) -> None:
    show(fresh_tab, ALL_TYPES)

    def fill(page: Any) -> None:
        page.locator("[data-field=value] input[type=number]").fill("22.5")
        page.locator("[data-field=count] input").fill("3")
        page.locator("[data-field=on] input").uncheck()
        page.locator("[data-field=mode] select").select_option(label="auto")
        page.locator("[data-field=note] input").fill("<b>hi</b>")
        page.locator("[data-field=more] textarea").fill('{"a": 1}')

    fresh_tab.do(fill)
    press(fresh_tab)
    assert sent(fresh_tab) == [
        {"value": 22.5, "count": 3, "on": False, "mode": "auto", "note": "<b>hi</b>", "more": {"a": 1}}
    ]


def test_the_slider_and_the_number_are_one(fresh_tab: Tab) -> None:
    show(fresh_tab, ALL_TYPES)
    number = "[data-field=value] input[type=number]"
    fresh_tab.do(lambda page: page.locator("[data-field=value] input[type=range]").fill("25"))
    assert fresh_tab.do(lambda page: page.locator(number).input_value()) == "25"
    fresh_tab.do(lambda page: page.locator(number).fill("8"))
    assert fresh_tab.do(lambda page: page.locator("[data-field=value] input[type=range]").input_value()) == "8"


def test_a_problem_is_told_at_its_field_and_nothing_is_sent(fresh_tab: Tab) -> None:
    show(fresh_tab, ALL_TYPES)
    fresh_tab.do(lambda page: page.locator("[data-field=value] input[type=number]").fill("99"))
    press(fresh_tab)
    assert sent(fresh_tab) == []
    assert fresh_tab.js(
        """
        const field = document.querySelector('[data-field=value]');
        const input = field.querySelector('input[type=number]');
        return [field.querySelector('[role=alert]').textContent, input.getAttribute('aria-invalid'),
                document.activeElement === input];
        """
    ) == ["Must be at most 30", "true", True]


def test_danger_asks_in_place(fresh_tab: Tab) -> None:
    show(fresh_tab, {"title": "Reboot", "danger": True, "schema": {"type": "object"}})
    press(fresh_tab)
    assert sent(fresh_tab) == []
    fresh_tab.do(lambda page: page.get_by_role("button", name="Cancel").click())
    assert fresh_tab.do(lambda page: page.get_by_test_id("command-confirm").count()) == 0
    assert sent(fresh_tab) == []
    press(fresh_tab)
    press(fresh_tab, "command-confirm")
    assert sent(fresh_tab) == [{}]


def test_without_a_connection_it_says_that_nothing_was_sent(fresh_tab: Tab) -> None:
    show(fresh_tab, {"schema": {}}, offline=True)
    press(fresh_tab)
    assert "nothing was sent" in fresh_tab.do(lambda page: page.locator("form").inner_text())
    assert fresh_tab.do(lambda page: page.get_by_test_id("command-status").count()) == 0


def status(tab: Tab, **record: Any) -> Any:
    base = {"id": "c1", "device_id": "a", "name": "go", "args": {}, "confirmed_by": None, "value": None, "error": None}
    return tab.js(
        """
        window.form.show(arg);
        const status = document.querySelector('[data-testid=command-status]');
        return [status.dataset.state, [...status.querySelectorAll('.step')].map((step) => step.dataset.status),
                status.querySelector('.outcome')?.textContent ?? ''];
        """,
        {**base, "late": False, **record},
    )


def test_the_stepper_claims_no_more_than_is_known(fresh_tab: Tab) -> None:
    show(fresh_tab, {"schema": {}})
    press(fresh_tab)
    t = 1_000_000
    assert status(fresh_tab, state="accepted", times={"accepted": t}) == [
        "accepted",
        ["done", "active", "ahead", "ahead"],
        "",
    ]
    times = {"accepted": t, "sent": t + 2, "delivered": t + 9}
    assert status(fresh_tab, state="delivered", times=times) == ["delivered", ["done", "done", "done", "active"], ""]
    done = status(
        fresh_tab, state="succeeded", times={**times, "succeeded": t + 250}, confirmed_by="device_reply", value=22.5
    )
    assert done == ["succeeded", ["done"] * 4, "Succeeded: the device answered. Answer: 22.5."]
    unsure = status(fresh_tab, state="succeeded", times={**times, "succeeded": t + 9}, confirmed_by="broker_only")
    assert unsure[1][-1] == "warn"
    failed = status(
        fresh_tab, state="failed", times={**times, "failed": t + 9}, error={"code": "x", "message": "<b>jam</b>"}
    )
    assert failed == ["failed", ["done", "done", "done", "bad"], "Failed: <b>jam</b>"]
    late = status(
        fresh_tab,
        state="timed_out",
        times={**times, "timed_out": t + 9},
        error={"code": "timed_out", "message": "no answer within 5 s"},
        late=True,
        value=1,
    )
    assert late[2] == "Timed out: no answer within 5 s. It answered later: 1."
    refused = status(fresh_tab, state="sending", times={"sending": t}, refused={"code": "busy", "message": "too many"})
    assert refused == ["refused", ["skipped"] * 3 + ["bad"], "Refused: too many"]
    lost = status(fresh_tab, state="sent", times={"accepted": t, "sent": t}, lost=True)
    assert lost[0] == "unknown"
    assert "may have run" in lost[2]


def test_another_command_does_not_show_here(fresh_tab: Tab) -> None:
    show(fresh_tab, {"schema": {}})
    press(fresh_tab)
    fresh_tab.js("window.form.show({ id: 'other', state: 'failed', times: {} });")
    assert fresh_tab.js("return document.querySelector('[data-testid=command-status]').dataset.state;") == "sending"


def test_a_hostile_description_is_only_text(fresh_tab: Tab) -> None:
    markup = "<img src=x onerror=alert(1)>"
    show(
        fresh_tab,
        {
            "title": markup,
            "description": markup,
            "schema": {
                "properties": {
                    markup: {"type": "number", "title": markup, "unit": markup},
                    "big": {"enum": [f"v{i}" for i in range(5_000)]},
                    "choice": {"enum": [markup, "b"]},
                },
            },
        },
        name=markup,
    )
    assert fresh_tab.js("return document.querySelectorAll('form img, form script').length;") == 0
    assert fresh_tab.js("return document.querySelectorAll('option').length;") <= 3
    fresh_tab.do(lambda page: page.locator("[data-field=big] input").fill("v4999"))
    fresh_tab.do(lambda page: page.locator("[data-field=choice] select").select_option(label=markup))
    press(fresh_tab)
    assert sent(fresh_tab) == [{"big": "v4999", "choice": markup}]
