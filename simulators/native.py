"""Fleetwire's own MQTT convention, spoken from the device's side (docs/protocol.md, "MQTT: the native convention")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from simulators.devices.device import Device, Metric, Value
from simulators.dialect import Identity, Outgoing, Request

# What a small controller would have room for; more is not a command.
MAX_COMMAND_BYTES = 16_384
MAX_COMMAND_ID = 128
MANUFACTURER = "Fleetwire Simulated"


class _Command(msgspec.Struct):
    id: str
    name: str
    args: dict[str, Any] = {}
    expires: int | float | None = None


_decoder = msgspec.json.Decoder(_Command)
_encode = msgspec.json.Encoder().encode


class NativeDialect:
    """Speaks `devices/<device_id>/...`. Only telemetry has a choice of QoS; everything else must arrive."""

    name = "native"

    def __init__(self, telemetry_qos: int = 0) -> None:
        self._telemetry_qos = telemetry_qos

    def announce(self, who: Identity, device: Device, online: bool) -> list[Outgoing]:
        description = Outgoing(who.device_no, f"devices/{who.device_id}/description", _describe(who, device), 1, True)
        return [description, self.status(who, online)]

    def status(self, who: Identity, online: bool) -> Outgoing:
        return Outgoing(who.device_no, f"devices/{who.device_id}/status", b"online" if online else b"offline", 1, True)

    def telemetry(self, who: Identity, values: Mapping[str, Value], time_ms: int) -> Outgoing:
        payload = _encode({"time": time_ms, **values})
        return Outgoing(who.device_no, f"devices/{who.device_id}/telemetry", payload, self._telemetry_qos)

    def result(self, who: Identity, command_id: str, value: Any, error: str | None) -> Outgoing:
        answer: dict[str, Any] = {"id": command_id, "status": "succeeded" if error is None else "failed"}
        if error is not None:
            answer["error"] = error
        elif value is not None:
            answer["value"] = value
        return Outgoing(who.device_no, f"devices/{who.device_id}/results", _encode(answer), 1)

    def command_topic(self, who: Identity) -> str:
        return f"devices/{who.device_id}/commands"

    def parse_command(self, payload: bytes) -> Request | None:
        if len(payload) > MAX_COMMAND_BYTES:
            return None
        try:
            command = _decoder.decode(payload)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        if not 1 <= len(command.id) <= MAX_COMMAND_ID:
            return None
        expires_ms = None if command.expires is None else int(command.expires)
        return Request(command.id, command.name, command.args, expires_ms)


def _describe(who: Identity, device: Device) -> bytes:
    return _encode(
        {
            "name": who.name,
            "manufacturer": MANUFACTURER,
            "model": device.KIND,
            "sw_version": device.SW_VERSION,
            "area": who.area,
            "metrics": {key: _describe_metric(metric) for key, metric in device.METRICS.items()},
            "commands": {
                name: {
                    "title": command.title,
                    **({"description": command.description} if command.description else {}),
                    **({"danger": True} if command.danger else {}),
                    "schema": command.schema,
                }
                for name, command in device.COMMANDS.items()
            },
        }
    )


def _describe_metric(metric: Metric) -> dict[str, Any]:
    described: dict[str, Any] = {"name": metric.name, "datatype": metric.datatype}
    if metric.unit:
        described["unit"] = metric.unit
    if metric.datatype == "number":
        described |= {"min": metric.min, "max": metric.max, "precision": metric.precision}
    return described
