"""Reads a recording, up to its end or up to the first byte that cannot be right. See `capture` for the format."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from simulators.capture import (
    BLOCK_CHECKED,
    BLOCK_HEAD,
    END,
    HEADER,
    MAGIC,
    MAX_BLOCK_BYTES,
    MAX_TOPICS,
    MESSAGES,
    QOS,
    RETAIN,
    STORED,
    VERSION,
    Captured,
    Columns,
    End,
    Header,
    NotACapture,
    decode_topic,
)


class _Damaged(Exception):
    """A block that is not what it should be; the text says why."""


class CaptureReader:
    """Iterate over `messages()` once; afterwards `end` and `damage` tell how the file ended."""

    def __init__(self, file: BinaryIO, *, max_topics: int = MAX_TOPICS) -> None:
        """Reads the header. Raises `NotACapture`."""
        self._file = file
        self._max_topics = max_topics
        self._decompressor = zlib.decompressobj()
        self._decode = msgspec.msgpack.Decoder(Columns).decode
        self._topics: list[str] = []
        self._position = len(MAGIC)  # of the first byte that was not understood yet
        self.end: End | None = None  # set when the recording was closed properly
        self.damage: str | None = None  # set when reading stopped before the end of the file, or the file was cut
        self.header = self._read_header()
        self._time_us = self.header.started_us

    def messages(self) -> Iterator[Captured]:
        """All messages of all whole blocks, in the order they were recorded."""
        while self.end is None:
            try:
                block = self._read_block()
                if block is None:
                    self.damage = f"was not closed properly: it ends after byte {self._position:,}"
                    return
                found = self._understand(*block)
            except _Damaged as problem:
                self.damage = f"is damaged from byte {self._position:,} on ({problem})"
                return
            self._position = self._file.tell()
            yield from found

    def _understand(self, kind: int, content: bytes, raw_length: int) -> list[Captured]:
        if kind == MESSAGES:
            return self._unpack(content, raw_length)
        if kind != END:
            raise _Damaged("an unknown kind of block")
        try:
            self.end = msgspec.json.decode(content, type=End)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise _Damaged("its last block cannot be read") from None
        if self._file.read(1):
            self.damage = f"has something after its end at byte {self._file.tell() - 1:,}, which was left out"
        return []

    def _read_header(self) -> Header:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise NotACapture("is not a recording made by simulate record")
        try:
            block = self._read_block()
        except _Damaged:
            block = None
        if block is None or block[0] != HEADER:
            raise NotACapture("is a recording whose first bytes are damaged")
        try:
            header = msgspec.json.decode(block[1], type=Header)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise NotACapture("is a recording with a header that cannot be read") from None
        if header.version != VERSION:
            raise NotACapture(f"is a recording of format {header.version}, and this program reads format {VERSION}")
        self._position = self._file.tell()
        return header

    def _read_block(self) -> tuple[int, bytes, int] | None:
        """Kind, content and raw length of the next block; None at the end of the file."""
        head = self._file.read(BLOCK_HEAD.size)
        if not head:
            return None
        if len(head) < BLOCK_HEAD.size:
            raise _Damaged("cut off")
        kind, length, raw_length, checksum = BLOCK_HEAD.unpack(head)
        if max(length, raw_length) > MAX_BLOCK_BYTES:
            raise _Damaged("impossible size")
        content = self._file.read(length)
        if len(content) < length:
            raise _Damaged("cut off")
        if zlib.crc32(content, zlib.crc32(BLOCK_CHECKED.pack(kind, length, raw_length))) != checksum:
            raise _Damaged("wrong checksum")
        return kind, content, raw_length

    def _unpack(self, content: bytes, raw_length: int) -> list[Captured]:
        try:
            # One byte more than declared would be allowed out, so that too much is noticed and never unpacked whole.
            raw = self._decompressor.decompress(content, raw_length + 1)
            if len(raw) != raw_length:
                raise _Damaged("its content has another length than declared")
            return self._messages_of(self._decode(raw))
        except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
            raise _Damaged("its content cannot be read") from None

    def _messages_of(self, columns: Columns) -> list[Captured]:
        """Checks everything before it returns anything: a checksum shows accidents, not intent."""
        known = [] if columns.restart else self._topics
        topics = known + [decode_topic(topic) for topic in columns.topics] if columns.topics else known
        numbers, sizes, flags = columns.topic_numbers, columns.sizes, columns.flags
        if not len(numbers) == len(sizes) == len(flags) == len(columns.steps_us):
            raise _Damaged("columns of different length")
        if len(topics) > self._max_topics or (numbers and not 0 <= min(numbers) <= max(numbers) < len(topics)):
            raise _Damaged("a topic that does not exist")
        if sum(sizes) != len(columns.payloads) or (sizes and min(sizes) < 0):
            raise _Damaged("payloads of another length than declared")
        found: list[Captured] = []
        time_us, at = self._time_us, 0
        for number, step_us, flag, size in zip(numbers, columns.steps_us, flags, sizes, strict=True):
            time_us += step_us
            payload = columns.payloads[at : at + size]
            at += size
            found.append(
                Captured(time_us, topics[number], payload, flag & QOS, bool(flag & RETAIN), bool(flag & STORED))
            )
        self._topics, self._time_us = topics, time_us
        return found
