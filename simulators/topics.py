"""Topics and topic filters (MQTT 5, section 4.7)."""

from __future__ import annotations

MAX_TOPIC_BYTES = 65_535


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription to `topic_filter` brings messages of `topic`."""
    if topic_filter.startswith("$share/"):
        topic_filter = topic_filter.split("/", 2)[-1]
    if topic.startswith("$") != topic_filter.startswith("$"):
        return False  # a wildcard in front does not reach the topics of the broker itself
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


def filter_problem(topic_filter: str) -> str | None:
    """What is wrong with a topic filter, in words; None when it is one."""
    if not topic_filter or "\0" in topic_filter or len(topic_filter.encode()) > MAX_TOPIC_BYTES:
        return "is empty, too long, or holds a zero byte"
    levels = topic_filter.split("/")
    if any("#" in level and (level != "#" or index < len(levels) - 1) for index, level in enumerate(levels)):
        return "has a # that is not the whole last level"
    if any("+" in level and level != "+" for level in levels):
        return "has a + that is not a whole level"
    return None


def can_publish(topic: str) -> bool:
    """Whether a client may publish to this topic."""
    if not topic or topic.startswith("$") or "+" in topic or "#" in topic or "\0" in topic:
        return False
    try:
        return len(topic.encode()) <= MAX_TOPIC_BYTES
    except UnicodeEncodeError:  # bytes that were no UTF-8
        return False
