"""route.js: addresses, and the moment in them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser


def parse(tab: Tab, hash_: str) -> Any:
    return tab.js(
        """
        const { params, ...route } = (await load('route')).parseRoute(arg);
        return { ...route, params: [...params] };
        """,
        hash_,
    )


@pytest.mark.parametrize(
    ("hash_", "route"),
    [
        ("", {"page": "fleet"}),
        ("#/", {"page": "fleet"}),
        ("#/nonsense/x", {"page": "fleet"}),
        ("#/device/pump-1", {"page": "device", "deviceId": "pump-1"}),
        ("#/device/a%2Fb%3Fc%20%C3%BC", {"page": "device", "deviceId": "a/b?c ü"}),
        ("#/device/100%", {"page": "fleet"}),
        ("#/explore", {"page": "explore"}),
    ],
)
def test_pages(tab: Tab, hash_: str, route: dict[str, Any]) -> None:
    assert parse(tab, hash_) == {"at": None, "params": [], **route}


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1763870000000", 1763870000000),
        ("-5", -5),
        ("2025-11-23T03:53:20Z", 1763870000000),
        ("", None),
        ("soon", None),
        ("9e99", None),
        ("99999999999999999", None),
    ],
)
def test_the_moment(tab: Tab, text: str, at: int | None) -> None:
    assert parse(tab, f"#/device/x?at={text}") == {"page": "device", "deviceId": "x", "at": at, "params": []}


def test_what_else_is_asked_for_stays(tab: Tab) -> None:
    route = parse(tab, "#/explore?s=1&s=2&at=7&title=a%3Fb")
    assert route == {"page": "explore", "at": 7, "params": [["s", "1"], ["s", "2"], ["title", "a?b"]]}


@pytest.mark.parametrize(
    ("hash_", "at", "becomes"),
    [
        ("", 5, "#/?at=5"),
        ("#/", 5.4, "#/?at=5"),
        ("#/device/a%2Fb?at=1", 5, "#/device/a%2Fb?at=5"),
        ("#/device/a%2Fb?at=1", None, "#/device/a%2Fb"),
        ("#/explore?s=1&at=9&s=2", None, "#/explore?s=1&s=2"),
    ],
)
def test_the_same_page_at_another_moment(tab: Tab, hash_: str, at: float | None, becomes: str) -> None:
    assert tab.js("return (await load('route')).atMoment(...arg);", [hash_, at]) == becomes
