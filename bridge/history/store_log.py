"""SQLite's write-ahead log, looked at before SQLite reads it: whether commits are lost that had been safe.

After a power cut the log ends in the midst of a commit, and SQLite rightly takes only what is whole. It does the same
when a byte in the middle has changed, without a word: everything after it is ignored, although it had been safe. The
two can be told apart, because each commit is on the disk before the next one begins: behind a cut there is at most one.

The format is a published one (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

_HEAD = struct.Struct(">IIIIIIII")  # magic, version, page size, checkpoint number, two salts, two checksums
_FRAME = struct.Struct(">IIIIII")  # page, size of the database after a commit or 0, two salts, two checksums
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
_ALLOWED = 1  # commits behind the end of a log that was cut off


class LogHeads(NamedTuple):
    """`commits`: the number of each frame that ends a commit, from 1 on; of those written since the log began anew.

    `head`: of the log itself; another one after it has begun anew.
    """

    head: bytes
    commits: tuple[int, ...]

    def count_lost(self, connection: Connection) -> int:
        """How many commits of them SQLite ignores, although they had been safe."""
        _, frames, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
        lost = sum(number > frames for number in self.commits)
        return lost if lost > _ALLOWED else 0


def read_heads(database: Path) -> LogHeads:
    """Of the log of a database that nobody has opened yet."""
    log = Path(f"{database}-wal")
    if not log.exists() or log.stat().st_size < _HEAD.size:
        return LogHeads(b"", ())
    with log.open("rb") as file:
        head = file.read(_HEAD.size)
        frame_bytes = _FRAME.size + _page_bytes(database, head)
        salts: tuple[int, int] | None = None
        if _is_sound(head):
            salts = _HEAD.unpack(head)[4:6]
        commits = []
        number = 0
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            number += 1
            _, size_after, *its_salts = _FRAME.unpack(frame)[:4]
            salts = salts or (its_salts[0], its_salts[1])
            if size_after and tuple(its_salts) == salts:
                commits.append(number)
            file.seek(_HEAD.size + number * frame_bytes)
    return LogHeads(head, tuple(commits))


def _is_sound(head: bytes) -> bool:
    order = _MAGIC.get(_HEAD.unpack(head)[0])
    if order is None:
        return False
    one = other = 0
    words = struct.unpack(f"{order}6I", head[:24])
    for at in range(0, 6, 2):
        one = (one + words[at] + other) % 2**32
        other = (other + words[at + 1] + one) % 2**32
    return (one, other) == _HEAD.unpack(head)[6:]


def _page_bytes(database: Path, head: bytes) -> int:
    """As the log says; as the database says if the log cannot be believed."""
    if _is_sound(head):
        return int(_HEAD.unpack(head)[2])
    with database.open("rb") as file:
        size = int.from_bytes(file.read(18)[16:18], "big")
    return 65_536 if size == 1 else max(size, 512)
