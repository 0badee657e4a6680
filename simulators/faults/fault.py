"""What every fault is: a name, a sentence, a schedule, and the few places where it may put its hand in.

A fault overrides the hooks it needs and nothing else. `CHANCE` says what its probability counts:
    message   each reading for itself
    command   each command for itself
    device    how many of the devices have it, drawn anew for each window of the schedule
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from simulators.devices.device import Value
from simulators.dialect import Outgoing, Request
from simulators.faults.desk import Desk
from simulators.faults.dice import draw
from simulators.faults.spec import FaultSpec, Window

if TYPE_CHECKING:
    from simulators.simulated_device import SimulatedDevice

ALWAYS = Window()


class Episode:
    """One device in one window of a fault. `state` belongs to the fault."""

    __slots__ = ("affected", "begin_s", "end_s", "number", "reported", "state")

    def __init__(self, number: int, begin_s: float, end_s: float, affected: bool) -> None:
        self.number = number
        self.begin_s = begin_s  # since 1970, like every time that a fault sees
        self.end_s = end_s
        self.affected = affected
        self.reported = False
        self.state: Any = None


class Fault:
    """One declared fault, for all devices of the fleet."""

    NAME: ClassVar[str]
    SUMMARY: ClassVar[str]  # one line for `--faults help`
    CHANCE: ClassVar[Literal["message", "command", "device"]] = "message"
    WINDOW: ClassVar[Window] = ALWAYS  # when nothing was said
    AMOUNT: ClassVar[float] = 0.0  # when nothing was said; `SUMMARY` says what it means

    def __init__(self, spec: FaultSpec, seed: int, desk: Desk) -> None:
        self.spec = spec
        self.desk = desk
        self.window = spec.window or self.WINDOW
        self.amount = self.AMOUNT if spec.amount is None else spec.amount
        self._key = f"{seed}/{spec.number}/{self.NAME}"
        self._episodes: dict[int, Episode] = {}  # by device
        self._asked: dict[int, int] = {}  # by device: messages or commands that the probability was asked for

    # ----- hooks ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The fleet begins at `desk.start_s`."""

    def woken(self, device: SimulatedDevice | None, now_s: float) -> Sequence[Outgoing]:
        """What was asked for with `desk.wake`; `now_s` is the time that was asked for."""
        return ()

    def values(self, device: SimulatedDevice, values: dict[str, Value], now_s: float) -> dict[str, Value]:
        """The readings, before they are put into a message. Not to be changed in place."""
        return values

    def time_ms(self, device: SimulatedDevice, time_ms: int, now_s: float) -> int:
        """What the device believes the time to be."""
        return time_ms

    def carry(self, device: SimulatedDevice, message: Outgoing, now_s: float) -> Sequence[Outgoing]:
        """What leaves the device instead of this reading."""
        return (message,)

    def refuse(self, device: SimulatedDevice, request: Request) -> str | None:
        """Why the device does not carry out a command that it could carry out."""
        return None

    def answer(self, device: SimulatedDevice, request: Request, answer: Outgoing, now_s: float) -> Outgoing | None:
        """What the device answers at once, instead of `answer`, after it has carried out the command."""
        return answer

    # ----- for the faults ------------------------------------------------------------------------------------

    def chance(self, device: SimulatedDevice, *question: object) -> float:
        """0 to 1, the same for the same question."""
        return draw(self._key, device.who.device_id, *question)

    def strikes(self, device: SimulatedDevice, now_s: float) -> int:
        """Whether this message or command is hit: its number, from 1; else 0. To be asked once for each."""
        if self.window.at(self.elapsed(now_s)) is None or not self.spec.matches(device.who.device_id):
            return 0
        device_no = device.who.device_no
        number = self._asked[device_no] = self._asked.get(device_no, 0) + 1
        return number if self.chance(device, number) < self.spec.probability else 0

    def episode(self, device: SimulatedDevice, now_s: float) -> Episode | None:
        """The window this device is in, when it is one of those that are hit."""
        device_no = device.who.device_no
        known = self._episodes.get(device_no)
        window = self.window.at(self.elapsed(now_s))
        if window is None:
            if known is not None:
                del self._episodes[device_no]
            return None
        if known is None or known.number != window[0]:
            number, begin_s, end_s = window
            start_s = self.desk.start_s
            known = Episode(number, start_s + begin_s, start_s + end_s, self.picks(device, number))
            self._episodes[device_no] = known
        return known if known.affected else None

    def picks(self, device: SimulatedDevice, window_no: int) -> bool:
        """Whether this device is among those that have the fault in that window."""
        return (
            self.spec.matches(device.who.device_id) and self.chance(device, "window", window_no) < self.spec.probability
        )

    def report(self, now_s: float, device: SimulatedDevice, detail: str) -> None:
        self.desk.report(now_s, device, self.NAME, detail)

    def report_once(self, episode: Episode, now_s: float, device: SimulatedDevice, detail: str) -> None:
        if not episode.reported:
            episode.reported = True
            self.report(now_s, device, detail)

    def elapsed(self, now_s: float) -> float:
        # Times since 1970 are exact to a quarter of a microsecond; a window that opens after 10 s must open then.
        return round(now_s - self.desk.start_s, 6)
