"""The tables. The same on SQLite and PostgreSQL: few rows, and large ones."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
)

metadata = MetaData()

_ESCAPE, _NUL, _ITSELF = "\ue000", "\ue0000", "\ue0001"


class Words(TypeDecorator[str]):
    """A text of devices or people. PostgreSQL keeps all but NUL, so there it is told in other words, and back again;
    and it sorts by language where it is not told otherwise, while ours are compared with what Python sorts."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(Text(collation="C") if dialect.name == "postgresql" else Text())

    def bind_processor(self, dialect: Any) -> Any:
        return super().bind_processor(dialect) if dialect.name == "postgresql" else None

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        # None, and not one that does nothing: a catalog has tens of thousands of them.
        return super().result_processor(dialect, coltype) if dialect.name == "postgresql" else None

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        if value is None or dialect.name != "postgresql" or not (_ESCAPE in value or "\0" in value):
            return value
        return value.replace(_ESCAPE, _ITSELF).replace("\0", _NUL)

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        if value is None or dialect.name != "postgresql" or _ESCAPE not in value:
            return value
        return value.replace(_NUL, "\0").replace(_ITSELF, _ESCAPE)


# Facts about the store itself: schema, epoch, how far the journal is sealed, from when each resolution is kept.
meta = Table("history_meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

# SQLite numbers rows by itself, and needs no index beside the table, only for exactly "INTEGER PRIMARY KEY".
_ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")

# The durable log. One row is one group commit: several frames, one after another.
journal = Table(
    "history_journal",
    metadata,
    Column("last_offset", _ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("first_offset", BigInteger, nullable=False),
    Column("readings", Integer, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# The other messages of the log (births and the like, JSON), as long as the journal: who returns gets every one.
message = Table(
    "history_message",
    metadata,
    Column("log_offset", _ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

# Columns of times, under a number made of their content: the series of one device were measured together and share
# them. Gone with the last chunk that names them.
times = Table(
    "history_times",
    metadata,
    Column("times_id", BigInteger, primary_key=True, autoincrement=False),
    Column("checksum", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# bridge/history/chunk.py says what the facts mean. `data` stands last: SQLite reads a row from the front, and a large
# value lies on pages of its own that a look at the facts never touches.
chunk = Table(
    "history_chunk",
    metadata,
    Column("chunk_id", _ROW_NUMBER, primary_key=True),
    Column("series_id", BigInteger, nullable=False),
    Column("resolution", SmallInteger, nullable=False),
    Column("reach", SmallInteger, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("part", Integer, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("n_values", BigInteger, nullable=False),
    Column("smallest", Double),
    Column("largest", Double),
    Column("total", Double),
    Column("first", Double),
    Column("last", Double),
    Column("interval_us", BigInteger, nullable=False),
    Column("off_clock", Integer, nullable=False),
    Column("is_open", Boolean, nullable=False),  # still to be merged
    Column("size", Integer, nullable=False),  # bytes of its columns; shared times count where they came first
    Column("times_id", BigInteger, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
# Questions about one series, and about all of them at one moment, are answered from this index alone.
Index("history_chunk_by_time", chunk.c.series_id, chunk.c.resolution, chunk.c.start_us, chunk.c.end_us, chunk.c.reach)
# What is to be merged; told from this index alone.
Index(
    "history_chunk_open",
    chunk.c.is_open, chunk.c.series_id, chunk.c.resolution, chunk.c.reach, chunk.c.part, chunk.c.level, chunk.c.n,
)  # fmt: skip
# What is too old, and how much there is of each kind.
Index("history_chunk_by_age", chunk.c.reach, chunk.c.end_us, chunk.c.level, chunk.c.size)
# Whether anyone still needs a column of times.
Index("history_chunk_times", chunk.c.times_id)

series = Table(
    "history_series",
    metadata,
    Column("series_id", _ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("device_id", Words, nullable=False),
    Column("metric", Words, nullable=False),
    Column("kind", Words, nullable=False),
)

# What a device or a series was called, by time: a row for each change. `subject` is a device id or a series id.
description = Table(
    "history_description",
    metadata,
    Column("subject", Words, primary_key=True),
    Column("is_device", Boolean, primary_key=True),
    Column("since_us", BigInteger, primary_key=True, autoincrement=False),
    Column("info", Text, nullable=False),  # JSON
)

# The texts that the numbers of a text series stand for. Only ever added to.
text = Table(
    "history_text",
    metadata,
    Column("series_id", BigInteger, primary_key=True, autoincrement=False),
    Column("code", Integer, primary_key=True, autoincrement=False),
    Column("text", Words, nullable=False),
)

# What happened beside readings (events.py): availability, commands, notes.
event = Table(
    "history_event",
    metadata,
    Column("event_id", _ROW_NUMBER, primary_key=True),
    Column("time_us", BigInteger, nullable=False),
    Column("kind", Words, nullable=False),
    Column("device_id", Words, nullable=False),  # empty: of no device
    Column("data", Text, nullable=False),  # JSON
)
Index("history_event_by_time", event.c.kind, event.c.time_us)
Index("history_event_by_device", event.c.kind, event.c.device_id, event.c.time_us)
