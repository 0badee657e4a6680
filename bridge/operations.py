"""What the web layer may ask of the bridge, in one place: the questions of `web.server.Operations`, answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bridge.errors import ProtocolError
from bridge.history.archive import Archive
from bridge.pipeline import Pipeline, source_as_dict
from bridge.replays import Replays

COMMANDS_LISTED = 200  # an overview, no archive


class BridgeOperations:
    """Answers from the pipeline's state. On the event loop, without waiting, unless it says so."""

    def __init__(
        self,
        pipeline: Pipeline,
        find_problems: Callable[[], list[str]],
        archive: Archive | None = None,
        replays: Replays | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._fleet = pipeline.fleet
        self._commands = pipeline.commands
        self.archive = archive  # None: there is no history
        self.replays = replays
        self.problems = find_problems
        self.run_command = pipeline.run_command
        self.stats = pipeline.stats
        self.welcome = pipeline.welcome

    def devices(self) -> list[dict[str, Any]]:
        return [device.summary() for device in self._fleet.devices.values()]

    def device(self, device_id: str) -> dict[str, Any]:
        device = self._fleet.devices.get(device_id)
        if device is None:
            raise ProtocolError("unknown_device", f"there is no device {device_id[:100]!r}")
        series = [self._fleet.latest.describe(series) for series in device.series.values()]
        return {**device.detail(), "series": series}

    def series(self, device_id: str | None) -> list[dict[str, Any]]:
        if device_id is not None:
            found: list[dict[str, Any]] = self.device(device_id)["series"]
            return found
        return [self._fleet.latest.describe(series) for series in self._fleet.series.values()]

    def rejections(self) -> list[dict[str, Any]]:
        return list(self._pipeline.quarantine)

    def recent_commands(self, device_id: str | None) -> list[dict[str, Any]]:
        return [command.as_dict() for command in self._commands.recent(COMMANDS_LISTED, device_id)]

    def find_command(self, command_id: str) -> dict[str, Any]:
        command = self._commands.find(command_id)
        if command is None:
            raise ProtocolError("not_found", f"there is no command {command_id[:100]!r}")
        return command.as_dict()

    async def wait_for_command(self, command_id: str, timeout_s: float) -> dict[str, Any]:
        """The record when it has ended, or as it is after `timeout_s`."""
        command = self._commands.find(command_id)
        if command is not None and not command.has_ended:
            ended = self._pipeline.when_ended(command_id)
            await asyncio.wait([ended], timeout=timeout_s)
            ended.cancel()
        return self.find_command(command_id)

    def sources_as_dicts(self) -> list[dict[str, Any]]:
        return [source_as_dict(status) for status in self._pipeline.statuses.values()]

    def notices(self) -> list[str]:
        """What people must know although the process is well."""
        recording = self._pipeline.recording
        return [notice for notice in (recording.notice, recording.complaint) if notice]

    def not_ready(self) -> list[str]:
        """Why the bridge cannot do its work yet, or for the moment."""
        complaint = self._pipeline.recording.complaint
        return ([complaint] if complaint else []) + self._sources_not_ready()

    def _sources_not_ready(self) -> list[str]:
        return [
            f"{status.name} is {status.state}{f': {status.detail}' if status.detail else ''}"
            for status in self._pipeline.statuses.values()
            if status.state != "connected"
        ] or ([] if self._pipeline.statuses else ["no source has started yet"])
