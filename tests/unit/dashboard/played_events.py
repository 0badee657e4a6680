"""A played history of events: what the time bar asks over HTTP, answered in the browser's own network layer."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, Route

DAY_MS = 86_400_000


class PlayedEvents:
    """Answers `/api/v1/events` and `/api/v1/span` of a page; whatever else it asks, there is nothing of."""

    def __init__(self, now_ms: float, *events: dict[str, Any], first_ms: float | None = None) -> None:
        self.now_ms = now_ms
        self.first_ms = now_ms - 9 * DAY_MS if first_ms is None else first_ms
        self.events = sorted(events, key=lambda event: event["time_ms"])
        self.asked: list[dict[str, list[str]]] = []
        self.refusal: dict[str, str] | None = None

    def play(self, page: Page) -> None:
        """Take over the network below /api/v1/ of a page."""
        page.route("**/api/v1/**", self._answer)

    def _answer(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if url.path.endswith("/span"):
            span = {"first_ms": self.first_ms, "last_ms": self.now_ms, "now_ms": self.now_ms, "kept_from_ms": {}}
            route.fulfill(content_type="application/json", body=json.dumps(span))
        elif url.path.endswith("/events"):
            self._answer_events(route, parse_qs(url.query))
        else:
            route.fulfill(content_type="application/json", body="{}")

    def _answer_events(self, route: Route, query: dict[str, list[str]]) -> None:
        self.asked.append(query)
        if self.refusal is not None:
            route.fulfill(status=200, content_type="text/plain", body="not what was asked for")
            return
        from_ms, to_ms = float(query["from"][0]), float(query["to"][0])
        found = [event for event in self.events if from_ms <= event["time_ms"] < to_ms]
        if "device_id" in query:
            found = [event for event in found if event["device_id"] in query["device_id"]]
        if query["order"] == ["newest"]:
            found.reverse()
        body = {"events": found[: int(query["limit"][0])]}
        route.fulfill(content_type="application/json", body=json.dumps(body))


def availability(event_id: int, time_ms: float, device_id: str, state: str) -> dict[str, Any]:
    data = {"availability": state, "source": "lwt"}
    return {"event_id": event_id, "time_ms": time_ms, "kind": "availability", "device_id": device_id, "data": data}


def command(event_id: int, time_ms: float, device_id: str, state: str) -> dict[str, Any]:
    data = {"id": f"c{event_id}", "name": "set_setpoint", "state": state}
    return {"event_id": event_id, "time_ms": time_ms, "kind": "command", "device_id": device_id, "data": data}


def note(event_id: int, time_ms: float, text: str) -> dict[str, Any]:
    data = {"note_id": f"n{event_id}", "text": text}
    return {"event_id": event_id, "time_ms": time_ms, "kind": "note", "device_id": "", "data": data}
