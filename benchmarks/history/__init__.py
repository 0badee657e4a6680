"""Keeping the past: bytes, CPU time and answers, beside others that keep it. Run: python -m benchmarks.history

All get the same readings, of the demo's 50 devices (485 series), made by the simulator's own device models:

    hours  three hours, each device every second, as in the demo: 5.2 million readings
    month  thirty days, each device every two minutes: 10.5 million readings

in the order of time, 5,000 or so at a time, each of which is durable (or acknowledged) before the next. Fleetwire seals
whenever there are as many as the demo fleet makes in a quarter of an hour, merges then, and once more at the end when
all partitions are closed. The servers get a batch as one request of line protocol, with all values of a device in one
line; they are asked for their processor time, ours not. They have until they are quiet for their own merging, which
counts, and VictoriaMetrics is asked to merge all before its files are measured.

    Fleetwire          bridge/history, as the bridge uses it
    SQLite rows        one table (series, time, value), primary key (series, time), WITHOUT ROWID
    DuckDB             one table (series, time, value)
    InfluxDB           1.6 of Debian, over HTTP, one measurement, the device as a tag
    VictoriaMetrics    1.79 of Debian, the same requests

Before anything is timed, count, smallest and largest of twenty series, less those of texts, must be those of the
readings. Questions are asked one at a time: a series over a day or the month in 500 buckets (smallest and largest of
each), the newest value of every series at a moment, and 250 series over a day in 500 buckets each. Fleetwire answers
with the readings themselves.

Everyone is measured twice, some minutes apart, and the round that took less processor time counts: on a shared machine
the same work differs by a half.

Memory of those that run in our process is what it grew by; of servers, all they have.

`year` is Fleetwire alone: what the usual questions take when there is a year (benchmarks/history/year.py).
"""
