"""All conventions in order of recognition, and the guard around them: whatever arrives, decoding never raises."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bridge.conventions.convention import Convention
from bridge.conventions.limits import MAX_PAYLOAD_BYTES, MAX_TOPIC_LENGTH
from bridge.conventions.native import NativeConvention
from bridge.conventions.plain import PlainConvention
from bridge.core.model import Message, Observation, Reason, Rejection

log = logging.getLogger(__name__)

# Topics whose convention is remembered. When full all are recognised anew, at a microsecond each.
MAX_TOPICS = 50_000


class Registry:
    """Finds the convention of a message. The last one should recognise everything: it gets what nobody recognises."""

    def __init__(self, conventions: Sequence[Convention], max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self.conventions = tuple(conventions)
        self._by_name = {convention.name: convention for convention in conventions}
        self._by_topic: dict[str, Convention] = {}
        self._max_payload_bytes = max_payload_bytes

    def by_name(self, name: str) -> Convention:
        """The convention of that name.

        Raises:
            KeyError: there is none.
        """
        return self._by_name[name]

    def decode(self, message: Message) -> tuple[Convention, Sequence[Observation]]:
        """What a message means, and in which convention. Never raises."""
        convention = self._by_topic.get(message.topic)
        if convention is None:
            if len(message.topic) > MAX_TOPIC_LENGTH:
                detail = f"a topic of {len(message.topic)} characters"
                return self.conventions[-1], (Rejection(Reason.TOPIC_TOO_LONG, detail),)
            convention = self._recognise(message)
        if len(message.payload) > self._max_payload_bytes:
            detail = f"{len(message.payload)} bytes, {self._max_payload_bytes} are allowed"
            return convention, (Rejection(Reason.PAYLOAD_TOO_LARGE, detail),)
        try:
            return convention, convention.decode(message)
        except Exception as error:
            # A defect of the decoder. It is counted and its message kept by the pipeline; the traceback is for whoever
            # debugs, since a device may provoke it a thousand times a second.
            log.debug("%s could not decode %.200r", convention.name, message.topic, exc_info=True)
            return convention, (Rejection(Reason.DECODER_FAILED, f"{type(error).__name__}: {error}"[:200]),)

    def _recognise(self, message: Message) -> Convention:
        found = self.conventions[-1]
        for convention in self.conventions:
            try:
                if convention.recognises(message):
                    found = convention
                    break
            except Exception:
                log.debug("%s could not recognise %.200r", convention.name, message.topic, exc_info=True)
        if len(self._by_topic) >= MAX_TOPICS:
            self._by_topic.clear()
        self._by_topic[message.topic] = found
        return found


def default_registry(max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> Registry:
    """All conventions, the most specific first. A new one gets its line here."""
    return Registry((NativeConvention(), PlainConvention()), max_payload_bytes)
