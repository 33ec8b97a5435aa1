"""Empty databases of this version's schema, migrated once for each test process and copied from then on."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from ferrotype.db.migrate import migrate

_made: list[Path] = []


async def migrated(path: Path) -> None:
    """Put an empty database at `path`, where there is none yet."""
    if path.exists():
        return
    if not _made:
        folder = Path(tempfile.mkdtemp(prefix="ferrotype-test-db-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        await migrate(f"sqlite:///{folder}/template.db")
        _made.append(folder / "template.db")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_made[0], path)
