"""Who the series are: ids that survive restarts, and what devices and series were called at any time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, case, delete, exists, func, insert, select, update

from bridge.history.catalog import Births, Catalog, Described, DeviceRecord, SeriesRecord
from bridge.history.spans import MAX_TIME_US
from bridge.history.store_schema import chunk, description, series, text

_SUBJECTS_AT_ONCE = 500  # in one statement; databases limit the number of parameters


def save_births(connection: Connection, births: Births, now_us: int) -> None:
    """Remember them, in the caller's transaction. What did not change costs a look and no row."""
    _save_descriptions(connection, {device.device_id: device.info for device in births.devices}, True, now_us)
    _save_descriptions(connection, {str(one.series_id): one.info for one in births.series}, False, now_us)
    for one in births.series:
        row = {"device_id": one.device_id, "metric": one.metric, "kind": one.kind}
        if not connection.execute(update(series).where(series.c.series_id == one.series_id).values(row)).rowcount:
            connection.execute(insert(series).values(series_id=one.series_id, **row))
        if one.texts:
            known = connection.execute(
                select(func.count()).select_from(text).where(text.c.series_id == one.series_id)
            ).scalar_one()
            new = [
                {"series_id": one.series_id, "code": code, "text": one.texts[code]}
                for code in range(known, len(one.texts))
            ]
            if new:
                connection.execute(insert(text), new)


def load_catalog(connection: Connection, at_us: int | None = None) -> Catalog:
    """Everything that was ever known, described as at `at_us` (now, without it); the earliest description before."""
    texts: dict[int, list[str]] = {}
    for series_id, word in connection.execute(
        select(text.c.series_id, text.c.text).order_by(text.c.series_id, text.c.code)
    ):
        texts.setdefault(series_id, []).append(word)
    described = _load_descriptions(connection, at_us)
    rows = connection.execute(
        select(series.c.series_id, series.c.device_id, series.c.metric, series.c.kind).order_by(series.c.series_id)
    ).all()
    records = {
        series_id: SeriesRecord(
            series_id, device_id, metric, kind, tuple(texts.get(series_id, ())),
            described.get((str(series_id), False), {}),
        )
        for series_id, device_id, metric, kind in rows
    }  # fmt: skip
    devices = {subject: DeviceRecord(subject, info) for (subject, is_device), info in described.items() if is_device}
    # Chunks too: their series ought to be known, but an id that is used twice would mix the past of two devices.
    newest = connection.execute(select(func.max(chunk.c.series_id))).scalar_one()
    return Catalog(devices, records, max(max(records, default=-1), -1 if newest is None else newest) + 1)


def find_described(connection: Connection, from_us: int, to_us: int) -> list[Described]:
    """What was described for the first time or anew in [from, to), in order of time; texts as they are now."""
    found = connection.execute(
        select(description)
        .where(description.c.since_us >= from_us, description.c.since_us < to_us)
        .order_by(description.c.since_us, description.c.is_device.desc(), description.c.subject)
    ).all()
    ids = sorted({int(row.subject) for row in found if not row.is_device})
    records: dict[str, SeriesRecord] = {}
    for at in range(0, len(ids), _SUBJECTS_AT_ONCE):
        some = ids[at : at + _SUBJECTS_AT_ONCE]
        texts: dict[int, list[str]] = {}
        for series_id, word in connection.execute(
            select(text.c.series_id, text.c.text)
            .where(text.c.series_id.in_(some))
            .order_by(text.c.series_id, text.c.code)
        ):
            texts.setdefault(series_id, []).append(word)
        for row in connection.execute(select(series).where(series.c.series_id.in_(some))):
            records[str(row.series_id)] = SeriesRecord(
                row.series_id, row.device_id, row.metric, row.kind, tuple(texts.get(row.series_id, ())), {}
            )
    described: list[Described] = []
    for row in found:
        info = json.loads(row.info)
        if row.is_device:
            described.append(Described(row.since_us, DeviceRecord(row.subject, info)))
        elif row.subject in records:
            described.append(Described(row.since_us, records[row.subject]._replace(info=info)))
    return described


def text_series(connection: Connection) -> set[int]:
    """The series whose numbers are codes of texts."""
    return set(connection.execute(select(series.c.series_id).where(series.c.kind == "text")).scalars())


def forget_descriptions(connection: Connection, before_us: int) -> int:
    """Drop the descriptions that were replaced before `before_us`: no moment that is still kept shows them."""
    later = description.alias()
    replaced = exists().where(
        and_(
            later.c.subject == description.c.subject,
            later.c.is_device == description.c.is_device,
            later.c.since_us > description.c.since_us,
            later.c.since_us <= before_us,
        )
    )
    return connection.execute(delete(description).where(replaced)).rowcount


def _save_descriptions(
    connection: Connection, infos: Mapping[str, Mapping[str, Any]], is_device: bool, now_us: int
) -> None:
    subjects = list(infos)
    for at in range(0, len(subjects), _SUBJECTS_AT_ONCE):
        some = subjects[at : at + _SUBJECTS_AT_ONCE]
        latest: dict[str, tuple[int, str]] = {}
        for row in connection.execute(
            select(description)
            .where(description.c.subject.in_(some), description.c.is_device == is_device)
            .order_by(description.c.since_us)
        ):
            latest[row.subject] = (row.since_us, row.info)
        new = []
        for subject in some:
            info = json.dumps(infos[subject])  # in its order, which is that of buttons and of fields in a form
            since_us, before = latest.get(subject, (None, ""))
            if info == before or (before and json.loads(info) == json.loads(before)):
                continue
            if since_us is None or now_us > since_us:
                new.append({"subject": subject, "is_device": is_device, "since_us": now_us, "info": info})
                continue
            # The clock was set back, or all happened within a microsecond: the newest description must stay the last.
            connection.execute(
                update(description)
                .where(
                    description.c.subject == subject,
                    description.c.is_device == is_device,
                    description.c.since_us == since_us,
                )
                .values(info=info)
            )
        if new:
            connection.execute(insert(description), new)


def _load_descriptions(connection: Connection, at_us: int | None) -> dict[tuple[str, bool], dict[str, Any]]:
    since_us = description.c.since_us
    then = since_us <= (MAX_TIME_US if at_us is None else at_us)
    held = func.coalesce(func.max(case((then, since_us))), func.min(since_us))
    chosen = (
        select(description.c.subject, description.c.is_device, held.label("since_us"))
        .group_by(description.c.subject, description.c.is_device)
        .subquery()
    )
    query = select(description.c.subject, description.c.is_device, description.c.info).join(
        chosen,
        and_(
            chosen.c.subject == description.c.subject,
            chosen.c.is_device == description.c.is_device,
            chosen.c.since_us == description.c.since_us,
        ),
    )
    # As `json.loads`, which takes as long again to look for blanks around: our own texts have none.
    read = json.JSONDecoder().raw_decode
    return {(subject, bool(device)): read(info)[0] for subject, device, info in connection.execute(query).all()}
