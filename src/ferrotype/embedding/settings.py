"""Settings of the search for similar prompts."""

from __future__ import annotations

from typing import ClassVar

from ferrotype.config import Settings, setting


class SimilarSettings(Settings):
    """Whether prompts are compared by what they mean, and from when on two count as similar."""

    area: ClassVar[str] = "similar"

    similar: bool = setting(
        False,
        "Whether prompts get vectors, so that they can be searched by meaning and `reuse: similar` can be"
        " ordered. Needs the extra `[local]`.",
    )
    similar_threshold: float = setting(
        0.94,
        "Similarity (0 to 1) from which on `reuse: similar` takes the pictures of another prompt"
        " ([REUSE.md](REUSE.md) says what to expect of it).",
        ge=0.5,
        le=1,
    )
    similar_max_prompts: int = setting(
        100_000,
        "Prompts whose vectors are held in memory, of all accounts together, about 450 bytes each; of an"
        " account that has more only the newest are searched.",
        ge=1_000,
        le=1_000_000,
    )
    similar_threads: int = setting(1, "Threads that the network works with.", ge=1, le=16)
