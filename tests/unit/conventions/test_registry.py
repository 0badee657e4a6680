"""Who gets which message, and that nothing gets out of the guard."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from bridge.conventions import registry as registry_module
from bridge.conventions.registry import Registry, default_registry
from bridge.core.model import CommandRequest, Message, Observation, Publish, Reason, SignOfLife
from tests.unit.conventions.helpers import decode, message, metrics, reasons


class Fake:
    """A convention that says what it saw, or fails as it is told to."""

    def __init__(self, name: str, prefix: str = "", fault: type[BaseException] | None = None) -> None:
        self.name = name
        self.asked = 0
        self._prefix = prefix
        self._fault = fault

    def recognises(self, message: Message) -> bool:
        self.asked += 1
        return message.topic.startswith(self._prefix)

    def decode(self, message: Message) -> Sequence[Observation]:
        if self._fault is not None:
            raise self._fault("a <b>defect</b>" * 100)
        return (SignOfLife(self.name),)

    def encode_command(self, request: CommandRequest) -> Publish:
        return Publish(request.device, b"")


class Unsure(Fake):
    def recognises(self, message: Message) -> bool:
        raise ValueError(message.topic)


def test_default_order() -> None:
    registry = default_registry()
    assert [convention.name for convention in registry.conventions] == ["native", "plain"]
    assert registry.decode(message("devices/t1/telemetry", {"a": 1}))[0].name == "native"
    assert registry.decode(message("devices/t1/else", {"a": 1}))[0].name == "plain"
    assert registry.decode(message("lab/oven", "5"))[0].name == "plain"


def test_by_name() -> None:
    registry = default_registry()
    assert registry.by_name("native") is registry.conventions[0]
    with pytest.raises(KeyError):
        registry.by_name("other")


def test_first_that_recognises_is_asked_once_a_topic() -> None:
    first, second, last = Fake("first", "a/"), Fake("second", "a"), Fake("last")
    registry = Registry([first, second, last])
    assert [registry.decode(message(topic, b""))[0].name for topic in ("a/x", "ab", "c", "a/x", "c")] == [
        *("first", "second", "last", "first", "last")
    ]
    assert (first.asked, second.asked, last.asked) == (3, 2, 1)


def test_what_nobody_recognises_goes_to_the_last() -> None:
    registry = Registry([Fake("first", "a"), Fake("last", "b")])
    assert registry.decode(message("c", b""))[0].name == "last"


@pytest.mark.parametrize("fault", [ValueError, RecursionError, MemoryError, UnicodeDecodeError, AssertionError])
def test_exceptions_become_rejections(fault: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry([Fake("broken", fault=fault)])
    with caplog.at_level(logging.DEBUG):
        convention, observations = registry.decode(message("a", b""))
    assert convention.name == "broken"
    assert reasons(observations) == [Reason.DECODER_FAILED]
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_the_detail_is_bounded() -> None:
    (rejection,) = decode(Registry([Fake("broken", fault=ValueError)]), "a", b"")
    assert len(rejection.detail) == 200  # type: ignore[union-attr]


def test_interrupts_pass() -> None:
    with pytest.raises(KeyboardInterrupt):
        decode(Registry([Fake("broken", fault=KeyboardInterrupt)]), "a", b"")


def test_a_convention_that_cannot_recognise_is_passed_over() -> None:
    assert Registry([Unsure("unsure"), Fake("last")]).decode(message("a", b""))[0].name == "last"


def test_payload_limit() -> None:
    registry = default_registry(10)
    assert metrics(decode(registry, "lab/temp", "1234567890")) == {"temp": 1234567890}
    assert reasons(decode(registry, "lab/temp", "12345678901")) == [Reason.PAYLOAD_TOO_LARGE]
    assert reasons(decode(registry, "devices/a/telemetry", b"{" + b" " * 10)) == [Reason.PAYLOAD_TOO_LARGE]
    assert reasons(decode(default_registry(), "a/b", b" " * 262_145)) == [Reason.PAYLOAD_TOO_LARGE]


def test_topic_limit() -> None:
    registry = default_registry()
    assert reasons(decode(registry, "x" * 1025, "5")) == [Reason.TOPIC_TOO_LONG]
    assert reasons(decode(registry, "x" * 65_535, "5")) == [Reason.TOPIC_TOO_LONG]
    assert metrics(decode(registry, "x" * 1024, "5")) == {"value": 5}
    assert len(registry._by_topic) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MAX_TOPICS", 10)
    registry = default_registry()
    for n in range(100):
        assert metrics(decode(registry, f"lab/{n}/temp", "5")) == {"temp": 5}
    assert len(registry._by_topic) <= 10
