"""The bytes in which a picture goes out. The same picture may go out in several editions: as it was made,
with what may not leave taken out, with what is to be known of it written in.

An edition's name is the transform's canonical form and what is done beside, and empty for the original as it
is kept. Caches know pictures by it, and the entity tag is made of it.
"""

from __future__ import annotations

from typing import Final

#: The original without the workflow that its file held.
CLEAN: Final = "clean=1"
#: The original with what is to be known of it.
LABELLED: Final = "labelled=1"
#: The prompt is in it.
PROMPT: Final = "prompt=1"
#: Behind it stands which certificate signed; it comes last.
SIGNED: Final = "signed="


def edition(*marks: str) -> str:
    """The name of what all these marks are true of, empty ones left out."""
    return "&".join(mark for mark in marks if mark)


def is_signed(name: str) -> bool:
    """Whether it carries a signature, which is never the same bytes twice."""
    return name.rpartition("&")[2].startswith(SIGNED)


def unsigned(name: str) -> str:
    """The name of the same without its signature."""
    return name.rpartition("&")[0] if is_signed(name) else name
