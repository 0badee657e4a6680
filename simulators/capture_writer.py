"""Writes a recording. Owns the open block, the compressor and the numbering of topics; knows no clock, no network."""

from __future__ import annotations

import zlib
from typing import BinaryIO

import msgspec

from simulators.capture import (
    BLOCK_BYTES,
    BLOCK_CHECKED,
    BLOCK_HEAD,
    COMPRESSION_LEVEL,
    END,
    HEADER,
    INT64,
    MAGIC,
    MAX_TOPICS,
    MESSAGES,
    QOS,
    RETAIN,
    STORED,
    Captured,
    Columns,
    End,
    Header,
    encode_topic,
    to_json,
)

# What a message costs in a block besides its payload, roughly: its place in the columns.
MESSAGE_BYTES = 8


class CaptureWriter:
    """Writes to `file`, which must be opened for bytes and without a buffer (a block is one write)."""

    def __init__(
        self, file: BinaryIO, header: Header, *, block_bytes: int = BLOCK_BYTES, max_topics: int = MAX_TOPICS
    ) -> None:
        self._file = file
        self._block_bytes = block_bytes
        self._max_topics = max_topics
        self._compressor = zlib.compressobj(COMPRESSION_LEVEL)
        self._pack = msgspec.msgpack.Encoder().encode
        self._last_us = header.started_us
        self._numbers: dict[str, int] = {}
        self._forgotten = 0  # topics numbered before the numbering started again
        self.messages = 0
        self.payload_bytes = 0
        self.file_bytes = 0
        self._open_block()
        self._write(MAGIC)
        self._write_block(HEADER, content := to_json(header), len(content))

    @property
    def topics(self) -> int:
        """Different topics so far; an upper bound once the numbering has started again."""
        return self._forgotten + len(self._numbers)

    @property
    def pending(self) -> int:
        """Messages that a crash would lose now."""
        return len(self._sizes)

    @property
    def pending_bytes(self) -> int:
        """Their size before compression, roughly."""
        return self._pending_bytes

    def add(self, message: Captured) -> None:
        """Take a message into the open block, and write the block once it is full."""
        time_us, topic, payload, qos, retain, stored = message
        step_us = time_us - self._last_us
        if not -INT64 <= step_us < INT64:
            raise ValueError(f"time {time_us} does not fit into a recording")
        number = self._numbers.get(topic)
        if number is None:
            number = self._number(topic)
        self._last_us = time_us
        self._topic_numbers.append(number)
        self._steps_us.append(step_us)
        self._flags.append(qos & QOS | (RETAIN if retain else 0) | (STORED if stored else 0))
        self._sizes.append(len(payload))
        self._payloads.append(payload)
        self.messages += 1
        self.payload_bytes += len(payload)
        self._pending_bytes += len(payload) + MESSAGE_BYTES
        if self._pending_bytes >= self._block_bytes:
            self.flush()

    def flush(self) -> None:
        """Write the open block, if there is anything in it."""
        if not self._sizes:
            return
        columns = Columns(
            self._restart,
            self._topics,
            self._topic_numbers,
            self._steps_us,
            bytes(self._flags),
            self._sizes,
            b"".join(self._payloads),
        )
        raw = self._pack(columns)
        content = self._compressor.compress(raw) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        self._open_block()
        self._write_block(MESSAGES, content, len(raw))

    def end(self, ended_us: int, gaps_us: list[tuple[int, int]] | None = None) -> None:
        """Write what is left, and that this was all. Nothing may be added afterwards."""
        self.flush()
        content = to_json(End(ended_us, self.messages, self.topics, gaps_us or []))
        self._write_block(END, content, len(content))

    def _number(self, topic: str) -> int:
        if len(self._numbers) >= self._max_topics:
            self.flush()  # the block so far means the old numbers
            self._forgotten += len(self._numbers)
            self._numbers.clear()
            self._restart = True
        encoded = encode_topic(topic)
        number = self._numbers[topic] = len(self._numbers)
        self._topics.append(encoded)
        self._pending_bytes += len(encoded)
        return number

    def _open_block(self) -> None:
        self._restart = False
        self._topics: list[bytes] = []
        self._topic_numbers: list[int] = []
        self._steps_us: list[int] = []
        self._flags = bytearray()
        self._sizes: list[int] = []
        self._payloads: list[bytes] = []
        self._pending_bytes = 0

    def _write_block(self, kind: int, content: bytes, raw_length: int) -> None:
        checksum = zlib.crc32(content, zlib.crc32(BLOCK_CHECKED.pack(kind, len(content), raw_length)))
        self._write(BLOCK_HEAD.pack(kind, len(content), raw_length, checksum) + content)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:  # a raw file may take only a part, for example when the disk fills up
            view = view[self._file.write(view) :]
        self.file_bytes += len(data)
