"""Those who keep the past, each behind the same few methods. Times are µs; answers are (count, smallest, largest)."""

from __future__ import annotations

import http.client
import json
import sqlite3
import subprocess
import sys
import time
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil

from benchmarks.history.install import duckdb_folder, program
from benchmarks.history.load import append, resident_bytes
from benchmarks.history.readings import Readings
from bridge.core.batch import Batch
from bridge.history.catalog import Births, DeviceRecord, SeriesRecord
from bridge.history.keeper import Keeper as StoreKeeper
from bridge.history.query import History
from bridge.history.spans import DAY_US
from bridge.history.store import open_store
from tests.support.mosquitto import find_free_port

BUCKETS = 500
SEAL_S = 900  # how often the demo's bridge would seal, and with it the number of readings that are sealed together

Extremes = tuple[int, float, float]


class Keeper(ABC):
    """Opened in an empty folder."""

    title: ClassVar[str]

    def __init__(self, folder: Path, readings: Readings) -> None:
        self.folder = folder
        self.readings = readings

    @abstractmethod
    def write(self, part: slice) -> None:
        """Some readings, durable at the end."""

    @abstractmethod
    def settle(self) -> None:
        """All that it does afterwards by itself."""

    @abstractmethod
    def total(self, series_id: int) -> Extremes:
        """Of all readings of a series."""

    @abstractmethod
    def ask(self, series_ids: Sequence[int], from_us: int, to_us: int) -> int:
        """Smallest and largest of each of 500 buckets of each series; returns how many numbers came."""

    @abstractmethod
    def moment(self, at_us: int) -> int:
        """The newest value of every series; returns how many."""

    def cpu_s(self) -> float:
        return time.process_time()

    def memory(self) -> int:
        return resident_bytes()

    def disk(self) -> tuple[int, int]:
        """Bytes of its files, and of them those that are free for what comes next."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file()), 0

    @abstractmethod
    def close(self) -> None:
        """End what was started."""


class Fleetwire(Keeper):
    title = "Fleetwire"

    def __init__(self, folder: Path, readings: Readings) -> None:
        super().__init__(folder, readings)
        self._path = folder / "history.db"
        self._store = open_store(f"sqlite:///{self._path}", 0)
        self._keeper = StoreKeeper(self._store)
        self._history = History(self._store)
        self._offset = 1
        self._waiting = 0
        self._seal_at = len(readings.columns) * SEAL_S
        with self._store.writing() as writer:
            records = tuple(
                SeriesRecord(n, f"d{one.device}", f"m{one.place}", "text" if one.is_text else "number", (), {})
                for n, one in enumerate(readings.columns)
            )
            devices = tuple(DeviceRecord(name, {}) for name in sorted({one.device_id for one in records}))
            writer.save_births(Births(devices, records), 0)

    def write(self, part: slice) -> None:
        ids, times, values = (column[part] for column in self.readings[1:])
        # A frame for each fleet-wide round of messages, about as many as the bridge puts into one under load.
        self._offset = append(self._store, [Batch(ids, times, values, int(times[-1]))], self._offset)
        self._waiting += len(ids)
        if self._waiting >= self._seal_at:
            self._tidy(int(times[-1]))

    def _tidy(self, now_us: int) -> None:
        while self._keeper.seal() is not None:
            pass
        self._keeper.merge(now_us)
        self._waiting = 0

    def settle(self) -> None:
        for _ in range(3):
            self._tidy(int(self.readings.times_us[-1]) + 400 * DAY_US)

    def total(self, series_id: int) -> Extremes:
        times = self.readings.times_us
        found = self._history.buckets(series_id, int(times[0]), int(times[-1]) + 1, DAY_US)
        return int(found.counts.sum()), float(np.nanmin(found.mins)), float(np.nanmax(found.maxs))

    def ask(self, series_ids: Sequence[int], from_us: int, to_us: int) -> int:
        return sum(len(one.values) for one in self._history.query(series_ids, from_us, to_us, 2 * BUCKETS))

    def moment(self, at_us: int) -> int:
        return len(self._history.state_at(at_us).series_ids)

    def disk(self) -> tuple[int, int]:
        with self._store.reading() as snapshot:
            free = snapshot.connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
            page = snapshot.connection.exec_driver_sql("PRAGMA page_size").scalar_one()
        self._store.close()  # the last connection carries the log over into the file
        return self._path.stat().st_size, free * page

    def close(self) -> None:
        self._store.close()


class Rows(Keeper):
    title = "SQLite rows"

    def __init__(self, folder: Path, readings: Readings) -> None:
        super().__init__(folder, readings)
        self._db = sqlite3.connect(folder / "rows.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-64000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute(
            "CREATE TABLE reading (series INTEGER, time INTEGER, value REAL, PRIMARY KEY (series, time)) WITHOUT ROWID"
        )

    def write(self, part: slice) -> None:
        rows = zip(*(column[part].tolist() for column in self.readings[1:]), strict=True)
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO reading VALUES (?, ?, ?)", rows)
        self._db.execute("COMMIT")

    def settle(self) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def total(self, series_id: int) -> Extremes:
        query = "SELECT count(*), min(value), max(value) FROM reading WHERE series = ?"
        found: Extremes = self._db.execute(query, (series_id,)).fetchone()
        return found

    def ask(self, series_ids: Sequence[int], from_us: int, to_us: int) -> int:
        width = max(1, (to_us - from_us) // BUCKETS)
        query = (
            "SELECT time / ?, min(value), max(value) FROM reading"
            " WHERE series = ? AND time >= ? AND time < ? GROUP BY 1"
        )
        return sum(len(self._db.execute(query, (width, one, from_us, to_us)).fetchall()) * 2 for one in series_ids)

    def moment(self, at_us: int) -> int:
        query = "SELECT time, value FROM reading WHERE series = ? AND time <= ? ORDER BY time DESC LIMIT 1"
        return sum(self._db.execute(query, (one, at_us)).fetchone() is not None for one in range(len(self.readings[0])))

    def close(self) -> None:
        self._db.close()


class Duck(Keeper):
    title = "DuckDB"

    def __init__(self, folder: Path, readings: Readings) -> None:
        super().__init__(folder, readings)
        sys.path.append(str(duckdb_folder()))
        import duckdb  # type: ignore[import-not-found]

        self._db: Any = duckdb.connect(str(folder / "readings.duckdb"))
        self._db.execute("CREATE TABLE reading (series UINTEGER, time BIGINT, value DOUBLE)")

    def write(self, part: slice) -> None:
        batch = dict(zip(("series", "time", "value"), (column[part] for column in self.readings[1:]), strict=True))
        self._db.execute("INSERT INTO reading SELECT * FROM batch")
        del batch

    def settle(self) -> None:
        self._db.execute("CHECKPOINT")

    def total(self, series_id: int) -> Extremes:
        query = "SELECT count(*), min(value), max(value) FROM reading WHERE series = ?"
        found: Extremes = self._db.execute(query, [series_id]).fetchone()
        return found

    def ask(self, series_ids: Sequence[int], from_us: int, to_us: int) -> int:
        query = (
            "SELECT series, time // ?, min(value), max(value) FROM reading"
            " WHERE series BETWEEN ? AND ? AND time >= ? AND time < ? GROUP BY 1, 2"
        )
        width = max(1, (to_us - from_us) // BUCKETS)
        return 2 * len(self._db.execute(query, [width, min(series_ids), max(series_ids), from_us, to_us]).fetchall())

    def moment(self, at_us: int) -> int:
        query = "SELECT series, max(time), arg_max(value, time) FROM reading WHERE time <= ? GROUP BY series"
        return len(self._db.execute(query, [at_us]).fetchall())

    def close(self) -> None:
        self._db.close()


class Server(Keeper):
    """A program that is asked over HTTP. Its processor time and memory count, not ours."""

    def __init__(self, folder: Path, readings: Readings) -> None:
        super().__init__(folder, readings)
        self.port = find_free_port()
        self._log = (folder.parent / f"{self.title}.log").open("wb")
        self._process = subprocess.Popen(self.command(), stdout=self._log, stderr=self._log)
        self._server = psutil.Process(self._process.pid)
        self._http = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.request("GET", "/ping" if isinstance(self, Influx) else "/health")
                break
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    @abstractmethod
    def command(self) -> list[str]: ...

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        try:
            self._http.request(method, path, body)
            answer = self._http.getresponse()
        except OSError:
            self._http.close()
            raise
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{self.title}: {answer.status} {data[:300]!r}")
        return data

    def lines(self, part: slice) -> bytes:
        """Line protocol; all values of a device at a moment in one line."""
        ids, times, values = (column[part].tolist() for column in self.readings[1:])
        columns = self.readings.columns
        lines: list[str] = []
        fields: list[str] = []
        last = len(ids) - 1
        for at, (series_id, value) in enumerate(zip(ids, values, strict=True)):
            one = columns[series_id]
            fields.append(f"m{one.place}={value!r}")
            if at == last or columns[ids[at + 1]].device != one.device:
                lines.append(f"r,d=d{one.device} {','.join(fields)} {times[at]}000")
                fields = []
        return "\n".join(lines).encode()

    def settle(self) -> None:
        """Until it has used less than a fiftieth of a core for five seconds."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            before = self.cpu_s()
            time.sleep(5)
            if self.cpu_s() - before < 0.1:
                return

    def cpu_s(self) -> float:
        spent = self._server.cpu_times()
        return float(spent.user + spent.system)

    def memory(self) -> int:
        return resident_bytes(self._process.pid)

    def disk(self) -> tuple[int, int]:
        self.close()  # whatever it still has in memory alone is written then
        return super().disk()

    def close(self) -> None:
        self._http.close()
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class Influx(Server):
    title = "InfluxDB"

    def __init__(self, folder: Path, readings: Readings) -> None:
        super().__init__(folder, readings)
        self._query("CREATE DATABASE r WITH DURATION INF SHARD DURATION 7d NAME forever", "POST")

    def command(self) -> list[str]:
        rpc = find_free_port()
        config = self.folder.parent / "influxdb.conf"
        config.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n'
            f'[meta]\ndir = "{self.folder}/meta"\n'
            f'[data]\ndir = "{self.folder}/data"\nwal-dir = "{self.folder}/wal"\nquery-log-enabled = false\n'
            'index-version = "tsi1"\n'
            'compact-full-write-cold-duration = "5s"\ncache-snapshot-write-cold-duration = "5s"\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n'
            "[monitor]\nstore-enabled = false\n"
        )
        return [str(program("influxd")), "-config", str(config)]

    def write(self, part: slice) -> None:
        self.request("POST", "/write?db=r&precision=ns", self.lines(part))

    def _query(self, query: str, method: str = "GET") -> list[Any]:
        path = "/query?" + urllib.parse.urlencode({"db": "r", "epoch": "ns", "q": query})
        answer = json.loads(self.request(method, path))["results"][0]
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return list(answer.get("series", []))

    def total(self, series_id: int) -> Extremes:
        one = self.readings.columns[series_id]
        field = f"m{one.place}"
        query = f"SELECT count({field}), min({field}), max({field}) FROM r WHERE d = 'd{one.device}'"
        row = self._query(query)[0]["values"][0]
        return row[1], row[2], row[3]

    def ask(self, series_ids: Sequence[int], from_us: int, to_us: int) -> int:
        width = max(1, (to_us - from_us) // BUCKETS)
        fields: dict[int, list[str]] = {}
        for series_id in series_ids:
            one = self.readings.columns[series_id]
            fields.setdefault(one.device, []).append(f"m{one.place}")
        count = 0
        for device, names in fields.items():
            wanted = ", ".join(f"min({name}), max({name})" for name in names)
            query = (
                f"SELECT {wanted} FROM r WHERE d = 'd{device}' AND time >= {from_us}000 AND time < {to_us}000"
                f" GROUP BY time({width}u) fill(none)"
            )
            count += sum(len(row) - 1 for one in self._query(query) for row in one["values"])
        return count

    def moment(self, at_us: int) -> int:
        found = self._query(f"SELECT last(*) FROM r WHERE time <= {at_us}000 GROUP BY d")
        return sum(value is not None for one in found for value in one["values"][0][1:])


class Victoria(Server):
    title = "VictoriaMetrics"

    def command(self) -> list[str]:
        return [
            str(program("victoria-metrics")), f"-storageDataPath={self.folder}/data", "-retentionPeriod=100y",
            f"-httpListenAddr=127.0.0.1:{self.port}", "-search.latencyOffset=0s", "-search.disableCache",
            "-search.maxPointsPerTimeseries=100000", "-loggerLevel=WARN",
        ]  # fmt: skip

    def write(self, part: slice) -> None:
        self.request("POST", "/write?precision=ns", self.lines(part))

    def settle(self) -> None:
        self.request("GET", "/internal/force_flush")
        super().settle()

    def disk(self) -> tuple[int, int]:
        self.request("GET", "/internal/force_merge")
        super().settle()
        return super().disk()

    def _name(self, series_id: int) -> str:
        one = self.readings.columns[series_id]
        return f'r_m{one.place}{{d="d{one.device}"}}'

    def _query(self, path: str, **arguments: Any) -> list[Any]:
        body = urllib.parse.urlencode(arguments)
        return list(json.loads(self.request("GET", f"/api/v1/{path}?{body}"))["data"]["result"])

    def total(self, series_id: int) -> Extremes:
        times = self.readings.times_us
        name, at_s = self._name(series_id), int(times[-1]) / 1e6
        window = f"[{int(at_s - times[0] / 1e6) + 10}s]"
        found = [
            float(self._query("query", query=f"{what}_over_time({name}{window})", time=at_s)[0]["value"][1])
            for what in ("count", "min", "max")
        ]
        return int(found[0]), found[1], found[2]

    def ask(self, series_ids: Sequence[int], from_us: int, to_us: int) -> int:
        step_ms = max(1, (to_us - from_us) // BUCKETS // 1000)
        fields: dict[int, list[int]] = {}
        for series_id in series_ids:
            fields.setdefault(self.readings.columns[series_id].device, []).append(
                self.readings.columns[series_id].place
            )
        count = 0
        for device, places in fields.items():
            names = "|".join(f"r_m{place}" for place in places)
            for what in ("min", "max"):
                found = self._query(
                    "query_range",
                    query=f'{what}_over_time({{__name__=~"{names}",d="d{device}"}}[{step_ms}ms])',
                    start=from_us / 1e6 + step_ms / 1e3,
                    end=to_us / 1e6,
                    step=f"{step_ms}ms",
                )
                count += sum(len(series["values"]) for series in found)
        return count

    def moment(self, at_us: int) -> int:
        return len(self._query("query", query='last_over_time({__name__=~"r_m.*"}[1h])', time=at_us / 1e6))


KEEPERS: dict[str, type[Keeper]] = {
    "fleetwire": Fleetwire,
    "sqlite": Rows,
    "duckdb": Duck,
    "influxdb": Influx,
    "victoriametrics": Victoria,
}
