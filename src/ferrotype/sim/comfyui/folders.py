"""The server's three folders, how it numbers output files, and the path rules of /view and /upload."""

from __future__ import annotations

import os
import time
from pathlib import Path

_ANNOTATIONS = {"output": 9, "input": 8, "temp": 7}  # letters cut off: " [output]" and so on


class Folders:
    """`output`, `input` and `temp` below one base directory."""

    def __init__(self, base: Path) -> None:
        self.base = base.resolve()
        self.output = self.base / "output"
        self.input = self.base / "input"
        self.temp = self.base / "temp"
        for folder in (self.output, self.input, self.temp):
            folder.mkdir(parents=True, exist_ok=True)

    def by_type(self, kind: str) -> Path | None:
        """The folder that `type=` names, or None."""
        return {"output": self.output, "input": self.input, "temp": self.temp}.get(kind)

    def annotated(self, name: str) -> tuple[str, Path | None]:
        """Splits `x.png [temp]` into the name and its folder; no annotation gives None as the folder."""
        for kind, length in _ANNOTATIONS.items():
            if name.endswith(f"[{kind}]"):
                return name[:-length], self.by_type(kind)
        return name, None

    def find_input(self, name: str) -> Path:
        """The file that a loader node names, in the input folder unless annotated. It may not exist.
        Raises ValueError where the name leaves the folder."""
        plain, folder = self.annotated(name)
        folder = folder or self.input
        path = folder / plain
        if not inside(folder, path):
            raise ValueError(f"Invalid file path: {name}")
        return path

    def wipe_temp(self) -> None:
        """Empties the temp folder, as the server does when it starts."""
        for path in sorted(self.temp.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def inside(folder: Path, path: Path | str) -> bool:
    """Whether `path`, taken textually (links are not followed), lies in `folder`."""
    return os.path.commonpath((str(folder), os.path.abspath(path))) == str(folder)


class OutsideFolder(Exception):
    """A filename_prefix led out of the output folder."""


def save_path(prefix: str, folder: Path, width: int, height: int) -> tuple[Path, str, int, str]:
    """Where SaveImage writes next: (folder, file name stem, next number, subfolder).

    The number is the highest one found for that very stem plus one, so gaps stay, foreign files count, and an
    emptied folder starts at 1 again. Raises OutsideFolder.
    """
    wanted = _fill(prefix, width, height) if "%" in prefix else prefix
    normal = os.path.normpath(wanted)
    subfolder, stem = os.path.dirname(normal), os.path.basename(normal)
    target = Path(os.path.abspath(folder / subfolder))
    if not inside(folder, target):
        raise OutsideFolder(
            "**** ERROR: Saving image outside the output folder is not allowed."
            f"\n full_output_folder: {target}"
            f"\n         output_dir: {folder}"
            f"\n         commonpath: {os.path.commonpath((str(folder), str(target)))}"
        )
    if not target.is_dir():
        target.mkdir(parents=True)
    # The length is that of the raw prefix, not of the normalised one: `fn/` never finds its older files.
    cut = len(os.path.basename(wanted))
    highest = max((_number(name, stem, cut) for name in os.listdir(target)), default=0)
    return target, stem, highest + 1, subfolder


def _number(name: str, stem: str, cut: int) -> int:
    """The number in an output file's name; 0 where it has none or is not of this stem."""
    if name[: cut + 1] != f"{stem}_":
        return 0
    try:
        return int(name[cut + 1 :].split("_")[0])
    except ValueError:
        return 0


def _fill(prefix: str, width: int, height: int) -> str:
    now = time.localtime()
    values = {
        "%width%": str(width),
        "%height%": str(height),
        "%year%": str(now.tm_year),
        "%month%": f"{now.tm_mon:02}",
        "%day%": f"{now.tm_mday:02}",
        "%hour%": f"{now.tm_hour:02}",
        "%minute%": f"{now.tm_min:02}",
        "%second%": f"{now.tm_sec:02}",
    }
    for key, value in values.items():
        prefix = prefix.replace(key, value)
    return prefix
