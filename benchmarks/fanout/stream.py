"""Every byte that every client receives is checked, at the price of a memory comparison.

All clients of a server are told the same, so their byte streams are equal. Whoever is ahead brings new frames: those
are decoded, their content and order checked, and they join the reference. All others have to match the reference byte
for byte. Where one does not (a ping in between, or a real fault), its frames are looked at one by one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from benchmarks.fanout.frames import next_frame
from benchmarks.fanout.messages import FIRST, Messages

Decode = Callable[[int, bytes], Messages | None]
Other = Callable[[int, bytes], None]


class Tally:
    """Counts what arrived once, twice, late; what never came is known at the end."""

    def __init__(self) -> None:
        self.unique = 0
        self.duplicates = 0
        self.reordered = 0
        self._seen = bytearray()

    def take(self, numbers: Iterable[int]) -> None:
        seen = self._seen
        for number in numbers:
            at = number - FIRST
            if at >= len(seen):
                seen.extend(bytes(at + 1 - len(seen)))
            elif seen[at]:
                self.duplicates += 1
                continue
            else:
                self.reordered += 1
            seen[at] = 1
            self.unique += 1


class Reference:
    """The frames that the clients of one server received, in the order of the first who had them."""

    def __init__(self, decode: Decode) -> None:
        self.decode = decode
        self.data = bytearray()
        self.tally = Tally()
        self.corrupt = 0
        self.ends: list[int] = []  # where each frame ends in `data`
        self.totals: list[int] = []  # how many messages there are up to the end of each frame
        self.times: list[float] = []  # when each message was sent
        self._frame_of: dict[int, int] = {}  # first number of a frame: its index

    def append(self, frame: bytes, messages: Messages) -> None:
        self._frame_of.setdefault(messages.numbers[0], len(self.ends))
        self.data += frame
        self.ends.append(len(self.data))
        self.times += messages.times
        self.totals.append(len(self.times))
        self.tally.take(messages.numbers)
        if not messages.intact:
            self.corrupt += len(messages.numbers)

    def start(self, index: int) -> int:
        return self.ends[index - 1] if index else 0

    def boundary(self, at: int) -> int:
        """The last end of a frame that is not beyond `at`."""
        return self.start(bisect_right(self.ends, at))

    def messages_at(self, at: int) -> int:
        """How many messages are complete at this position."""
        index = bisect_right(self.ends, at)
        return self.totals[index - 1] if index else 0

    def index_of(self, messages: Messages) -> int | None:
        return self._frame_of.get(messages.numbers[0])

    def index_at(self, position: int) -> int:
        """The frame that begins at this position."""
        return bisect_right(self.ends, position)


class ClientStream:
    """What one client received, as a position in the reference and a list of what was different."""

    def __init__(self, reference: Reference, other: Other) -> None:
        self.position = 0
        self.missing = 0
        self.duplicates = 0
        self.reordered = 0
        self.corrupt = 0
        self.strays = 0  # messages that are not in the reference where they should be
        self._reference = reference
        self._other = other
        self._tail = b""  # begins at a frame; follows `position`
        self._skipped: set[int] = set()

    @property
    def messages(self) -> int:
        """Complete messages so far."""
        return self._reference.messages_at(self.position) - self.missing

    @property
    def faults(self) -> int:
        return self.missing + self.duplicates + self.reordered + self.corrupt + self.strays

    def take(self, block: bytes) -> None:
        """The next bytes from the socket."""
        reference = self._reference
        if not self._tail and reference.data.startswith(block, self.position):
            self.position += len(block)
            return
        if not self._tail:
            begin = reference.boundary(self.position)
            self._tail = bytes(reference.data[begin : self.position])
            self.position = begin
        buffer = self._tail + block
        at = 0
        while (found := next_frame(buffer, at)) is not None:
            self._take_frame(buffer[at : found.end], found.opcode, buffer[found.body : found.end])
            at = found.end
        rest = buffer[at:]
        if rest and reference.data.startswith(rest, self.position):
            self.position += len(rest)
            rest = b""
        self._tail = rest

    def finish(self) -> None:
        """Nothing more will come: what is left in the reference was not delivered."""
        reference = self._reference
        at = reference.boundary(self.position)
        self.missing += len(reference.times) - reference.messages_at(at)
        self.position = len(reference.data)

    def _take_frame(self, frame: bytes, opcode: int, body: bytes) -> None:
        reference = self._reference
        if reference.data.startswith(frame, self.position):
            self.position += len(frame)
            return
        messages = reference.decode(opcode, body)
        if messages is None:
            self._other(opcode, body)
        elif (index := reference.index_of(messages)) is None:
            if self.position == len(reference.data):
                reference.append(frame, messages)
                self.position = len(reference.data)
            else:
                self.strays += len(messages.numbers)
        else:
            self._out_of_line(frame, index, len(messages.numbers))

    def _out_of_line(self, frame: bytes, index: int, count: int) -> None:
        """A frame that the reference has, but not here or not with these bytes."""
        reference = self._reference
        start, end = reference.start(index), reference.ends[index]
        if bytes(reference.data[start:end]) != frame:
            self.corrupt += count
        if start >= self.position:
            skipped = range(reference.index_at(self.position), index)
            self._skipped.update(skipped)
            self.missing += reference.messages_at(start) - reference.messages_at(self.position)
            self.position = end
        elif index in self._skipped:
            self._skipped.remove(index)
            self.missing -= count
            self.reordered += count
        else:
            self.duplicates += count
