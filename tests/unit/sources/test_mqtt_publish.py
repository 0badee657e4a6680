"""The window of publishes: never more than the broker takes, never an answer forgotten."""

from __future__ import annotations

import asyncio

import pytest

from bridge.core.model import Publish
from bridge.errors import PublishFailed
from bridge.sources.mqtt_publish import WAITING_LIMIT, PublishWindow


class Sender:
    """Instead of paho: counts message ids up; refuses the topic 'bad'."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.window = PublishWindow(self.send)
        self.window.limit = 2

    def send(self, publish: Publish) -> int:
        if publish.topic == "bad":
            raise PublishFailed("bad", "refused here")
        self.sent.append(publish.topic)
        return len(self.sent)

    def publish(self, topic: str, qos: int = 1) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.window.publish(Publish(topic, b"", qos), done)
        return done


async def test_acknowledgement_makes_room() -> None:
    sender = Sender()
    futures = [sender.publish(topic) for topic in "abcd"]
    assert sender.sent == ["a", "b"]
    sender.window.acknowledged(1, "")
    assert sender.sent == ["a", "b", "c"]
    assert [future.done() for future in futures] == [True, False, False, False]


async def test_refusals_reach_their_sender() -> None:
    sender = Sender()
    with pytest.raises(PublishFailed, match="refused here"):
        await sender.publish("bad")
    future = sender.publish("a")
    sender.window.acknowledged(1, "Not authorized")
    with pytest.raises(PublishFailed, match="Not authorized"):
        await future
    sender.window.acknowledged(99, "")  # an answer to nothing


async def test_qos_0_is_done_when_sent() -> None:
    sender = Sender()
    await sender.publish("a", qos=0)


async def test_who_gave_up_waiting_is_not_sent() -> None:
    sender = Sender()
    futures = [sender.publish(topic) for topic in "abcd"]
    futures[2].cancel()
    sender.window.acknowledged(1, "")
    assert sender.sent == ["a", "b", "d"]
    futures[1].cancel()
    sender.window.acknowledged(2, "")


async def test_waiting_is_bounded_and_all_fail_together() -> None:
    sender = Sender()
    futures = [sender.publish("a") for _ in range(2 + WAITING_LIMIT)]
    with pytest.raises(PublishFailed, match="wait for the broker already"):
        await sender.publish("a")
    sender.window.fail_all()
    for future in futures:
        with pytest.raises(PublishFailed, match="lost before"):
            await future
    sender.window.fail_all()
    assert sender.sent == ["a", "a"]
