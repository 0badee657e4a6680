"""When a batch goes out: at once while the line is quiet, together with others under load. Pure: time comes in."""

from __future__ import annotations

# A write to a socket costs some 5 us whatever it carries. Up to these figures, sending each message by itself costs at
# most a fifth of a core and nobody waits; above, the same writes carry many messages each.
QUIET_MESSAGES_PER_S = 300
QUIET_WRITES_PER_S = 40_000


class Pacer:
    """Looks at one window of `interval_us` after the other: what was in the last one decides about the next."""

    def __init__(self, interval_us: int) -> None:
        self._interval_us = interval_us
        self._max_messages = max(1, QUIET_MESSAGES_PER_S * interval_us // 1_000_000)
        self._max_writes = max(1, QUIET_WRITES_PER_S * interval_us // 1_000_000)
        self._began_us = 0
        self._messages = 0
        self._writes = 0
        self._is_busy = False

    def wait_us(self, now_us: int) -> int:
        """How long a message that arrives now may wait for company; 0: send it at once."""
        elapsed = now_us - self._began_us
        if not 0 <= elapsed < self._interval_us:  # below 0: the clock was set back
            # After a pause of a whole window the line is quiet, whatever was before.
            self._is_busy = 0 <= elapsed < 2 * self._interval_us and self._is_over()
            # Under load one window follows the other, so that the time that the writing took is not added to the wait.
            self._began_us = self._began_us + self._interval_us if self._is_busy else now_us
            self._messages = self._writes = 0
            elapsed = now_us - self._began_us
        if self._is_busy or self._is_over():
            return self._interval_us - elapsed
        return 0

    def sent(self, messages: int, writes: int) -> None:
        """A batch went out, made of so many messages, with so many writes to sockets."""
        self._messages += messages
        # What it would have been, one by one: otherwise a load that is sent together looks light, and is let go again.
        self._writes += messages * writes

    def _is_over(self) -> bool:
        return self._messages > self._max_messages or self._writes > self._max_writes
