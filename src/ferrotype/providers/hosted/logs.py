"""Progress out of logs: models print bars, and services pass on what they print."""

from __future__ import annotations

import re
from typing import Final

#: tqdm and its like: ` 45%|####5     | 9/20 [00:03<00:04,  2.5it/s]`.
PERCENT: Final = re.compile(r"(?<![\w.])(\d{1,3})(?:\.\d+)?%(?:\s*\|)?")
#: `Step 9/20`, `9/20 [00:03`, `step 9 of 20`.
STEPS: Final = re.compile(
    r"(?:\bstep\s+(\d+)\s*(?:/|of)\s*(\d+))|(?:\b(\d+)/(\d+)\s*\[\d+:\d\d)", re.IGNORECASE
)


def progress_of(logs: str) -> float | None:
    """The last fraction, 0 to 1, that the logs tell of; None when they tell of none.

    Looks at the end only: bars overwrite themselves with carriage returns, and logs may be long.
    """
    for line in reversed(re.split(r"[\r\n]", logs[-4_000:])):
        steps = list(STEPS.finditer(line))
        if steps:
            done, whole = (int(part) for part in steps[-1].groups() if part is not None)
            if whole > 0:
                return min(1.0, done / whole)
        percents = PERCENT.findall(line)
        if percents and int(percents[-1]) <= 100:
            return int(percents[-1]) / 100
    return None
