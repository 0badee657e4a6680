"""The file format of a recording: MQTT messages in compressed blocks, each guarded by a checksum.

    magic     8 bytes
    block     kind (u8), stored length (u32), raw length (u32), CRC-32 of those and the content (u32), content
    ...

Little endian. The first block is a header (JSON), then come blocks of messages, and a file that was closed properly
ends with an end block (JSON). All message blocks together are one zlib stream that is flushed after every block: each
profits from what the blocks before it have in common with it, and what was written can be read even if nothing
follows. A block holds columns in MessagePack, whose integers are as short as their values. Topics are numbered in the
order of their first appearance, so that each is written once.

A recorder that dies loses the block it had not written yet. A reader takes what is whole, stops at the first byte that
cannot be right, and says so: it never guesses. docs/simulate.md describes the format for other programs.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import msgspec

# Like PNG's: the first byte and the line end show at once whether something treated the file as text.
MAGIC = b"\x89FWREC\r\n"
VERSION = 1
BLOCK_HEAD = struct.Struct("<BIII")
BLOCK_CHECKED = struct.Struct("<BII")  # the part of the head that the checksum covers
HEADER, MESSAGES, END = b"H"[0], b"M"[0], b"E"[0]

# Flushed at this size: large enough that a block's own bytes do not count, small enough to compress in milliseconds.
BLOCK_BYTES = 256 * 1024
# An MQTT packet holds 256 MiB at most; a block ends after the message that fills it. More is no block of ours.
MAX_BLOCK_BYTES = 320 * 1024 * 1024
# Numbered topics. A broker that invents topics must not fill our memory: then the numbering starts again.
MAX_TOPICS = 65_536
COMPRESSION_LEVEL = 6

RETAIN = 0x04
STORED = 0x08
QOS = 0x03
INT64 = 2**63


class NotACapture(Exception):
    """The file is no recording, or one that this version cannot read. The text says which."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return self.reason


class Captured(NamedTuple):
    """One recorded message."""

    time_us: int  # when it was received, microseconds since 1970 UTC
    topic: str  # bytes that are not UTF-8 appear as in os.fsdecode
    payload: bytes
    qos: int = 0
    retain: bool = False
    stored: bool = False  # the broker had it already when the recording began


class Header(msgspec.Struct, frozen=True):
    """What a recording says about itself before its messages."""

    started_us: int
    version: int = VERSION
    broker: str = ""  # empty in a redacted recording
    filters: list[str] = []
    protocol: str = ""
    redacted: bool = False


class End(msgspec.Struct, frozen=True):
    """What a recording says when it was closed properly."""

    ended_us: int
    messages: int
    topics: int
    gaps_us: list[tuple[int, int]] = []  # from, to: there was no connection, and whatever was sent is missing


class Columns(msgspec.Struct, array_like=True, frozen=True):
    """The messages of one block. The lists run in parallel; `payloads` are laid end to end."""

    restart: bool  # forget the topics known so far
    topics: list[bytes]  # new ones; they get the next numbers
    topic_numbers: list[int]
    steps_us: list[int]  # since the message before; negative when the clock was put back
    flags: bytes
    sizes: list[int]
    payloads: bytes


def encode_topic(topic: str) -> bytes:
    return topic.encode("utf-8", "surrogateescape")


def decode_topic(topic: bytes) -> str:
    return topic.decode("utf-8", "surrogateescape")


def to_json(value: Any) -> bytes:
    return msgspec.json.encode(value)
