"""Keeps a service that fails out of the way for a while. It only decides; the caller does the asking."""

from __future__ import annotations

from typing import Final

from ferrotype.domain.clock import Clock

#: Failures in a row after which the service is no longer asked.
FAILURES: Final = 3
#: Seconds until somebody looks whether it is back.
PAUSE: Final = 5.0


class Circuit:
    """Closed while all is well. Open after `failures` in a row, until a probe finds the service well."""

    def __init__(self, clock: Clock, *, failures: int = FAILURES, pause: float = PAUSE) -> None:
        self._clock = clock
        self._limit = failures
        self._pause = pause
        self._failures = 0
        self._probe_at: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether the service is out of the way."""
        return self._probe_at is not None

    def succeeded(self) -> None:
        """The service answered in time. That of a call made before the circuit opened changes nothing."""
        self._failures = 0

    def failed(self) -> bool:
        """The service did not answer, or not in time; whether that opened the circuit."""
        self._failures += 1
        if self.is_open or self._failures < self._limit:
            return False
        self._probe_at = self._clock.monotonic() + self._pause
        return True

    def take_probe(self) -> bool:
        """Whether the caller is to look if the service is back, and then say so with `probed`."""
        if self._probe_at is None or self._probing or self._clock.monotonic() < self._probe_at:
            return False
        self._probing = True
        return True

    def probed(self, well: bool) -> None:
        """What the probe found."""
        self._probing = False
        self._failures = 0
        self._probe_at = None if well else self._clock.monotonic() + self._pause
