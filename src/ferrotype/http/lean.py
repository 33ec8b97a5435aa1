"""Scripts and style sheets without what only people read: comments, indentation, empty lines.

Nothing is renamed or moved. A script in which a template literal spans lines stays as it is, because the
space within it may matter; ours have none.
"""

from __future__ import annotations

import re
from typing import Final

_DOCUMENTED: Final = re.compile(r"^[ \t]*/\*\*.*?\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
_CSS_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_CSS_SPACE: Final = re.compile(r"\s+")
_CSS_AROUND: Final = re.compile(r" ?([{};,]) ?")


def lean(name: str, data: bytes) -> bytes:
    """The file as it is sent; anything but JavaScript and CSS as it is."""
    if name.endswith(".js"):
        return lean_script(data.decode()).encode()
    if name.endswith(".css"):
        return lean_style(data.decode()).encode()
    return data


def lean_script(text: str) -> str:
    """Lines that are all comment are left out, and the space in front of the others."""
    if any(line.count("`") % 2 for line in text.split("\n")):
        return text
    lines = (line.strip() for line in _DOCUMENTED.sub("", text).split("\n"))
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def lean_style(text: str) -> str:
    """Comments are left out, and every space that separates nothing. Strings with braces or commas in them
    are not expected: ours have none."""
    text = _CSS_SPACE.sub(" ", _CSS_COMMENT.sub("", text))
    return _CSS_AROUND.sub(r"\1", text).replace(";}", "}").strip()
