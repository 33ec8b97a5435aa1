"""python -m tests.imaging.golden show [FILE] [SOURCE ...] | record"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does for the tests beside this package

from golden.book import record
from golden.cases import ASKED
from golden.sheet import draw


def main(words: list[str]) -> int:
    match words:
        case ["record"]:
            changed = record()
            print("\n".join(changed))
            print(f"{len(changed)} pictures are new or other: look at them (show) before you commit.")
        case ["show", *rest] if not set(rest[1:]) - ASKED.keys():
            path = Path(rest[0] if rest else "golden.png")
            draw(path, rest[1:])
            print(path)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


sys.exit(main(sys.argv[1:]))
