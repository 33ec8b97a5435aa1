"""How long to wait before a job is started again."""

from __future__ import annotations

import math
import random
from datetime import timedelta


def backoff(starts: int, *, base: timedelta, cap: timedelta, rng: random.Random) -> timedelta:
    """A delay drawn evenly from [0, min(cap, base * 2**(starts - 1))] ("full jitter").

    `starts` counts the starts so far, so the first retry waits up to `base`. The whole range is drawn
    from, because jobs that failed together must not come back together. Raises ValueError below one start.
    """
    if starts < 1:
        raise ValueError("a job that was never started has nothing to back off from")
    # 60 doublings of a microsecond are 36,000 years: more would only overflow.
    longest = math.ldexp(base.total_seconds(), min(starts - 1, 60))
    return timedelta(seconds=min(cap.total_seconds(), longest) * rng.random())
