"""What earlier messages of a topic taught: the memory that makes the next one cheap. Bounded, and safe to lose."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.conventions.limits import MAX_VALUES
from bridge.conventions.names import Names, is_availability, is_command, is_command_reply, is_topic, names_of
from bridge.core.model import Ignored, Observation, Reason, Rejection

# Half a kilobyte each. When full all routes are learnt anew, by one slower message each: cheaper than to keep an order.
MAX_ROUTES = 50_000
# Keys, units and ids learnt over all routes, some hundred bytes each: one topic with random keys must not fill memory.
MAX_LEARNT = 500_000
# Different ids seen in one topic before we take the key for a counter and no longer for the name of a device.
MAX_IDS_IN_TOPIC = 64

SYSTEM: Sequence[Observation] = (Ignored("system"),)
COMMAND: Sequence[Observation] = (Ignored("command"),)
CLEARED: Sequence[Observation] = (Ignored("cleared"),)


class Route:
    """One topic of plain messages."""

    __slots__ = (
        "answer",
        "id_counts",
        "is_availability",
        "is_id_counter",
        "is_number",
        "is_reply",
        "is_scalar",
        "is_shared",
        "metric_names",
        "names",
        "time_key",
        "topic",
        "units_told",
    )

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.names: Names = names_of(topic) if topic else Names("", "", "")
        # Set when every message of this topic means the same, whatever it holds.
        self.answer = _answer_to(topic)
        self.is_reply = is_command_reply(topic)
        self.is_availability = is_availability(topic)
        # Of an object's keys: metric name, once its unit was told; only for plain numbers at the top level.
        self.metric_names: dict[str, str] = {}
        self.time_key = ""
        self.is_scalar = False  # a single value came at least once
        self.is_number = False  # ... which was a number, and its unit was told
        self.units_told: dict[tuple[str, str], str] = {}  # by device and metric
        self.id_counts: dict[str, int] = {}  # ids in the payload that may name devices
        self.is_shared = False  # several devices do speak on this topic
        self.is_id_counter = False  # what looked like an id changes with every message

    def observe_id(self, device: str) -> bool:
        """Note that a message carries this id; whether it names a device.

        Only ids that come again do: a message counter called "id" must not make a device of each message.
        """
        if self.is_shared or self.is_id_counter:
            return self.is_shared
        self.id_counts[device] = self.id_counts.get(device, 0) + 1
        self.is_shared = sum(count > 1 for count in self.id_counts.values()) > 1
        self.is_id_counter = len(self.id_counts) > MAX_IDS_IN_TOPIC
        if self.is_shared or self.is_id_counter:
            self.id_counts = {}
        return self.is_shared


class Routes:
    """All routes, by topic."""

    def __init__(self, max_routes: int = MAX_ROUTES, max_learnt: int = MAX_LEARNT) -> None:
        self.by_topic: dict[str, Route] = {}
        self._max_routes = max_routes
        self._max_learnt = max_learnt
        self._learnt = 0

    def add(self, topic: str) -> Route:
        if len(self.by_topic) >= self._max_routes or self._learnt >= self._max_learnt:
            self.by_topic.clear()
            self._learnt = 0
        route = self.by_topic[topic] = Route(topic)
        return route

    def learn_metric(self, route: Route, key: str, name: str) -> None:
        if key not in route.metric_names and len(route.metric_names) < MAX_VALUES and self._has_room():
            route.metric_names[key] = name

    def learn_unit(self, route: Route, device: str, metric: str, unit: str) -> bool:
        """Whether this unit has to be told, because it was not told before."""
        key = (device, metric)
        if route.units_told.get(key) == unit:
            return False
        if key in route.units_told or self._has_room():
            route.units_told[key] = unit
        return True

    def _has_room(self) -> bool:
        # The topics that are there go on working without; `add` makes room at the next new topic.
        self._learnt += 1
        return self._learnt <= self._max_learnt


def _answer_to(topic: str) -> Sequence[Observation] | None:
    if topic.startswith("$"):
        return SYSTEM
    if not is_topic(topic):
        return (Rejection(Reason.INVALID_NAME, "a topic that is empty, or has a wildcard or a NUL"),)
    return COMMAND if is_command(topic) and not is_command_reply(topic) else None
