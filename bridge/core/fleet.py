"""The last known state of everything: devices, their metrics, availability and staleness.

The pipeline applies observations; the fleet collects readings into a batch and remembers which devices and series
changed, until somebody takes them. Pure: time comes in as `now_us`.
"""

from __future__ import annotations

from typing import NamedTuple

from bridge.core.batch import Batch, BatchBuilder
from bridge.core.counters import Counters
from bridge.core.model import (
    Availability,
    AvailabilityChange,
    Description,
    Kind,
    MetricInfo,
    Readings,
    Reason,
    TimeFlag,
    Value,
)
from bridge.core.series import MAX_SAFE_INTEGER, Device, Latest, Series
from bridge.core.silence import SilenceWatch

# Weight of the newest gap in the running mean of a device's interval: about the last ten messages count.
_INTERVAL_WEIGHT = 0.1
_NAN = float("nan")
_NUMBER = Kind.NUMBER  # an enum member costs a look-up each time; the hot path asks for it once a value


class FleetLimits(NamedTuple):
    """Bounds of the fleet's memory, and when silence becomes staleness."""

    max_devices: int = 100_000
    max_metrics_per_device: int = 1_000
    max_texts_per_metric: int = 1_000
    stale_min_us: int = 30_000_000
    stale_factor: float = 5.0
    stale_default_us: int = 300_000_000


class Changes(NamedTuple):
    """What became different since the last call of `take_changes`, in the order in which it must be told."""

    devices: list[Device]
    removed: list[str]
    series: list[Series]

    def __bool__(self) -> bool:
        return bool(self.devices or self.removed or self.series)


class Fleet:
    """All devices. Ids of series are given in order of appearance and never used again."""

    def __init__(self, limits: FleetLimits, counters: Counters) -> None:
        self._limits = limits
        self._counters = counters
        self.devices: dict[str, Device] = {}
        self.series: dict[int, Series] = {}
        self.latest = Latest()
        self.builder = BatchBuilder()
        self._by_key: dict[tuple[str, str], Device] = {}
        self._next_series_id = 0
        self._changed_devices: dict[Device, None] = {}
        self._changed_series: dict[Series, None] = {}
        self._removed: list[str] = []
        self._silence = SilenceWatch()
        self._restored_us = 0  # what was last seen before is known from an earlier run

    # ----- observations -----------------------------------------------------------------------------------

    def observe_readings(
        self, convention: str, source: str, readings: Readings, received_us: int, *, retained: bool = False
    ) -> None:
        """Values of one device. The hot path: called once a message."""
        device = self._by_key.get((convention, readings.device))
        if device is None:
            device = self._add_device(convention, readings.device, source, received_us)
            if device is None:
                return
        if readings.units is not None:
            self._describe_metrics(device, readings.units)
        if retained:
            self._observe_retained(device, readings, received_us)
            return
        self._observe_life(device, received_us)
        time_us = readings.time_us
        if time_us is None:
            time_us = received_us
            suspect = readings.time_flag is TimeFlag.CLOCK_SUSPECT
            if suspect:
                self._counters.clock_suspect += 1
            if suspect is not device.clock_suspect:
                device.clock_suspect = suspect
                self._changed_devices[device] = None
        elif device.clock_suspect:
            device.clock_suspect = False  # somebody has set the clock
            self._changed_devices[device] = None
        builder = self.builder
        series_of = device.series
        for metric, value in readings.values:
            series = series_of.get(metric)
            if series is None:
                series = self._add_series(device, metric)
                if series is None:
                    continue
            # Plain numbers first, by exact type: bool is an int to isinstance, and a call costs more than the append.
            number: float
            if (series.kind is _NUMBER and type(value) is float) or (
                series.kind is _NUMBER and type(value) is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER
            ):
                number = value
            else:
                number = self._as_number(series, value)
            builder.series_ids.append(series.series_id)
            builder.times_us.append(time_us)
            builder.values.append(number)

    def observe_life(self, convention: str, source: str, native_id: str, received_us: int) -> None:
        """A message that proves life but carries no value."""
        device = self._by_key.get((convention, native_id)) or self._add_device(
            convention, native_id, source, received_us
        )
        if device is not None:
            self._observe_life(device, received_us)

    def observe_description(self, convention: str, source: str, description: Description, received_us: int) -> None:
        """What a device is and can do. Values and history of known metrics are kept."""
        device = self._by_key.get((convention, description.device)) or self._add_device(
            convention, description.device, source, received_us
        )
        if device is None:
            return
        device.name = description.name or device.native_id
        device.manufacturer = description.manufacturer
        device.model = description.model
        device.sw_version = description.sw_version
        device.area = description.area
        device.commands = dict(description.commands)
        self._changed_devices[device] = None
        self._describe_metrics(device, description.metrics)

    def observe_availability(self, convention: str, source: str, change: AvailabilityChange, received_us: int) -> None:
        """The device, or the broker on its behalf, says whether it is connected."""
        device = self._by_key.get((convention, change.device)) or self._add_device(
            convention, change.device, source, received_us
        )
        if device is not None and device.set_availability(change.availability, change.source, received_us):
            self._changed_devices[device] = None
            self._watch_silence(device, received_us)

    def remove(self, convention: str, native_id: str) -> None:
        """Forget a device whose description was cleared. It comes back if it speaks again."""
        device = self._by_key.pop((convention, native_id), None)
        if device is None:
            return
        del self.devices[device.device_id]
        self.builder.drop({series.series_id for series in device.series.values()})
        for series in device.series.values():
            self._forget_series(series)
        self._changed_devices.pop(device, None)
        self._removed.append(device.device_id)

    # ----- the fleet of an earlier run ------------------------------------------------------------------------

    def restore(self, device: Device, series: list[Series], now_us: int) -> None:
        """A device that is known from before, with its series. Before any observation; nobody is told."""
        self.devices[device.device_id] = self._by_key[device.convention, device.native_id] = device
        for one in series:
            device.series[one.metric] = self.series[one.series_id] = one
            one.texts_told = len(one.texts)
            self.latest.reserve(one.series_id)
        self._restored_us = now_us
        self._watch_silence(device, now_us)

    def begin_ids(self, next_series_id: int) -> None:
        """Give no id below this one: it may be known from before."""
        self._next_series_id = max(self._next_series_id, next_series_id)

    # ----- what follows from them -------------------------------------------------------------------------

    def take_batch(self, now_us: int) -> Batch | None:
        """All readings since the last call; the latest values are up to date afterwards."""
        batch = self.builder.take(now_us)
        if batch is not None:
            late = self.latest.apply(batch)
            self._counters.readings += len(batch)
            self._counters.late += late
            self._counters.batches += 1
        return batch

    def take_changes(self) -> Changes:
        changes = Changes(list(self._changed_devices), self._removed, list(self._changed_series))
        self._changed_devices = {}
        self._changed_series = {}
        self._removed = []
        return changes

    def tick(self, now_us: int) -> None:
        """Mark the devices that have been silent for too long. Call it about once a second."""
        for device in self._silence.take(now_us):
            device.is_watched = False
            if device.availability is not Availability.ONLINE or self.devices.get(device.device_id) is not device:
                continue  # watched again when it comes back
            if self._silent_after(device) <= now_us:
                device.set_availability(Availability.STALE, "timeout", now_us)
                self._changed_devices[device] = None
            else:
                self._watch_silence(device, now_us)

    def find(self, convention: str, native_id: str) -> Device | None:
        return self._by_key.get((convention, native_id))

    # ----- inner workings ---------------------------------------------------------------------------------

    def _observe_life(self, device: Device, received_us: int) -> None:
        last = device.last_seen_us
        device.last_seen_us = received_us
        if last > self._restored_us:  # how long we were away is nothing that a device does usually
            gap = max(0, received_us - last)  # not below: the clock may have been set back
            usual = device.interval_us
            device.interval_us = usual + (gap - usual) * _INTERVAL_WEIGHT if usual else float(gap)
        if device.availability is not Availability.ONLINE:
            # Whatever was said of it before, it speaks now.
            device.set_availability(Availability.ONLINE, "derived", received_us)
            self._changed_devices[device] = None
            self._watch_silence(device, received_us)

    def _silent_after(self, device: Device) -> int:
        limits = self._limits
        since = max(device.last_seen_us, device.availability_since_us)
        if not device.interval_us:
            return since + limits.stale_default_us
        return since + max(limits.stale_min_us, int(device.interval_us * limits.stale_factor))

    def _watch_silence(self, device: Device, now_us: int) -> None:
        """Look at an online device again when it may have become stale; nothing to do if it is watched already.

        Never later than `stale_min_us` from now: a deadline may come closer as the device's interval becomes known or
        shorter, but no message can bring it closer than that. So a watch once set is never too late.
        """
        if device.is_watched or device.availability is not Availability.ONLINE:
            return
        device.is_watched = True
        look_us = min(self._silent_after(device), now_us + self._limits.stale_min_us)
        self._silence.add(device, max(look_us, now_us + 1))

    def _add_device(self, convention: str, native_id: str, source: str, now_us: int) -> Device | None:
        if len(self.devices) >= self._limits.max_devices:
            self._counters.reject(Reason.TOO_MANY_DEVICES)
            return None
        device_id = native_id if native_id not in self.devices else f"{convention}:{native_id}"
        if device_id in self.devices:
            self._counters.reject(Reason.INVALID_NAME)
            return None
        device = Device(device_id, native_id, convention, source, now_us)
        self.devices[device_id] = self._by_key[convention, native_id] = device
        self._changed_devices[device] = None
        return device

    def _add_series(self, device: Device, metric: str) -> Series | None:
        if len(device.series) >= self._limits.max_metrics_per_device:
            self._counters.reject(Reason.TOO_MANY_METRICS)
            return None
        return self._new_series(device, metric)

    def _new_series(self, device: Device, metric: str) -> Series:
        series = Series(self._next_series_id, device, metric)
        self._next_series_id += 1
        self.latest.reserve(series.series_id)
        device.series[metric] = self.series[series.series_id] = series
        self._changed_series[series] = None
        return series

    def _forget_series(self, series: Series) -> None:
        """Its device, which may have a successor for it, is the caller's business."""
        del self.series[series.series_id]
        self.latest.forget(series.series_id)
        self._changed_series.pop(series, None)

    def _describe_metrics(self, device: Device, metrics: dict[str, MetricInfo]) -> None:
        for metric, info in metrics.items():
            series = device.series.get(metric) or self._add_series(device, metric)
            if series is None:
                continue
            if info.kind not in (Kind.UNKNOWN, series.kind) and series.kind is not Kind.UNKNOWN:
                series = self._replace_series(series)
            if series.describe(info):
                self._changed_series[series] = None

    def _replace_series(self, old: Series) -> Series:
        """A new series in the place of one whose kind changes.

        The numbers that stood for its values mean something else from now on ("open" was 0), so they keep the old id,
        which nobody shows any more: in frames under way, in the recent past, and in whatever remembers them.
        """
        for _ in range(self.builder.drop({old.series_id})):
            self._counters.reject(Reason.KIND_CHANGED)
        self._forget_series(old)
        series = self._new_series(old.device, old.metric)
        series.take_over(old)
        return series

    def _observe_retained(self, device: Device, readings: Readings, received_us: int) -> None:
        for metric, value in readings.values:
            self._counters.retained += 1
            series = device.series.get(metric) or self._add_series(device, metric)
            if series is None:
                continue
            number = self._as_number(series, value)
            if self.latest.set_retained(series.series_id, number, readings.time_us or 0, received_us):
                self._changed_series[series] = None

    def _as_number(self, series: Series, value: Value) -> float:
        """The number that stands for `value` in a frame; NaN, counted, where its kind does not fit."""
        if value is None:
            return _NAN
        if series.kind is Kind.UNKNOWN:
            series.kind = _kind_of(value)
            self._changed_series[series] = None
        if isinstance(value, str):
            if series.kind is not Kind.TEXT:
                self._counters.reject(Reason.KIND_CHANGED)
                return _NAN
            return self._text_code(series, value)
        if series.kind is Kind.TEXT:
            return self._text_code(series, str(value).lower() if isinstance(value, bool) else str(value))
        if isinstance(value, bool):
            return float(value)
        if series.kind is Kind.BOOLEAN and value not in (0, 1):
            if series.declared:
                self._counters.reject(Reason.KIND_CHANGED)
                return _NAN
            # "OFF" was a first guess; 0 and 1 are numbers too, so what came before stays right.
            series.kind = Kind.NUMBER
            self._changed_series[series] = None
        if isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER:
            self._counters.inexact += 1
        try:
            return float(value)
        except OverflowError:
            self._counters.reject(Reason.OUT_OF_RANGE)
            return _NAN

    def _text_code(self, series: Series, text: str) -> float:
        code = series.text_codes.get(text)
        if code is None:
            if len(series.texts) >= self._limits.max_texts_per_metric:
                self._counters.reject(Reason.TOO_MANY_TEXTS)
                return _NAN
            code = series.text_codes[text] = len(series.texts)
            series.texts.append(text)
            self._changed_series[series] = None
        return float(code)


def _kind_of(value: Value) -> Kind:
    if isinstance(value, bool):
        return Kind.BOOLEAN
    return Kind.TEXT if isinstance(value, str) else Kind.NUMBER
