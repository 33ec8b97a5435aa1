"""The state machines, as data.

Each table maps a state to the states that may follow it, with the reason; `advance` refuses every
other move. The diagrams in docs/STATES.md are written from these tables (`python -m
ferrotype.domain.states`) and a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar


class GenerationState(StrEnum):
    """Of the public order."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class BatchState(StrEnum):
    """Of many orders that were given at once."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class JobState(StrEnum):
    """Of the durable internal unit."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class AttemptState(StrEnum):
    """Of one call to a provider."""

    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class AssetState(StrEnum):
    """Of an original."""

    ARRIVING = "arriving"
    READY = "ready"
    FAILED = "failed"


S = TypeVar("S", bound=StrEnum)


class IllegalTransition(Exception):
    """A move that the table does not have: a fault of ours, never of the caller."""


@dataclass(frozen=True)
class Machine(Generic[S]):
    """A named transition table.

    `terminal` states end the ordinary life: whoever waits is answered. `succeeded` of a generation is
    one of them although a late loss of every picture can still turn it into `failed`.
    """

    name: str
    initial: S
    terminal: frozenset[S]
    moves: Mapping[S, Mapping[S, str]]

    def advance(self, current: S, following: S) -> S:
        """`following`, if it may come after `current`; raises IllegalTransition otherwise."""
        if following not in self.moves[current]:
            raise IllegalTransition(f"{self.name}: {current} -> {following}")
        return following

    def is_terminal(self, state: S) -> bool:
        """Whether a waiting caller is answered once this state is reached."""
        return state in self.terminal

    def diagram(self) -> str:
        """The table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial}"]
        for state, after in self.moves.items():
            lines += [f"    {state} --> {to}: {why}" for to, why in after.items()]
            if self.is_terminal(state):
                lines.append(f"    {state} --> [*]")
        return "\n".join(lines)


GENERATION: Final = Machine(
    "generation",
    GenerationState.QUEUED,
    frozenset({GenerationState.SUCCEEDED, GenerationState.FAILED, GenerationState.CANCELED}),
    {
        GenerationState.QUEUED: {
            GenerationState.RUNNING: "the first of its jobs has a seat",
            GenerationState.SUCCEEDED: "pictures of an identical order answer it",
            GenerationState.FAILED: "no job could start",
            GenerationState.CANCELED: "canceled before any work",
        },
        GenerationState.RUNNING: {
            GenerationState.SUCCEEDED: "every job ended and a picture exists",
            GenerationState.FAILED: "every job ended and no picture exists",
            GenerationState.CANCELED: "canceled and no picture exists",
        },
        GenerationState.SUCCEEDED: {
            GenerationState.FAILED: "the bytes of none of its pictures ever arrived",
        },
        GenerationState.FAILED: {},
        GenerationState.CANCELED: {},
    },
)

BATCH: Final = Machine(
    "batch",
    BatchState.QUEUED,
    frozenset({BatchState.SUCCEEDED, BatchState.FAILED, BatchState.CANCELED}),
    {
        BatchState.QUEUED: {
            BatchState.RUNNING: "the first of its generations runs",
            BatchState.SUCCEEDED: "everything was answered by pictures that were there",
            BatchState.FAILED: "nothing could be ordered, or nothing could start",
            BatchState.CANCELED: "canceled before any work",
        },
        BatchState.RUNNING: {
            BatchState.SUCCEEDED: "every generation ended, and one of them with pictures",
            BatchState.FAILED: "every generation ended, and none with pictures",
            BatchState.CANCELED: "canceled, and no generation has pictures",
        },
        BatchState.SUCCEEDED: {},
        BatchState.FAILED: {},
        BatchState.CANCELED: {},
    },
)

JOB: Final = Machine(
    "job",
    JobState.QUEUED,
    frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED}),
    {
        JobState.QUEUED: {
            JobState.RUNNING: "leased with a free seat of its class",
            JobState.CANCELED: "canceled before it ran",
        },
        JobState.RUNNING: {
            JobState.QUEUED: "to be run again: a retry, a drain or a rescue",
            JobState.SUCCEEDED: "its work is done",
            JobState.FAILED: "its work cannot be done, or it was started too often",
            JobState.CANCELED: "canceled while it ran, and the provider call has ended",
        },
        JobState.SUCCEEDED: {},
        JobState.FAILED: {},
        JobState.CANCELED: {},
    },
)

ATTEMPT: Final = Machine(
    "attempt",
    AttemptState.SUBMITTING,
    frozenset({AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.CANCELED, AttemptState.UNKNOWN}),
    {
        AttemptState.SUBMITTING: {
            AttemptState.SUBMITTED: "the provider gave its request id",
            AttemptState.FAILED: "the provider surely did not accept it",
            AttemptState.CANCELED: "canceled before the provider accepted it",
            AttemptState.UNKNOWN: "no answer, and the provider cannot tell",
        },
        AttemptState.SUBMITTED: {
            AttemptState.SUCCEEDED: "its outputs are known",
            AttemptState.FAILED: "the provider reported a failure or forgot it",
            AttemptState.CANCELED: "the provider has stopped it",
            AttemptState.UNKNOWN: "the provider cannot tell how it ended",
        },
        AttemptState.SUCCEEDED: {},
        AttemptState.FAILED: {},
        AttemptState.CANCELED: {},
        AttemptState.UNKNOWN: {},
    },
)

ASSET: Final = Machine(
    "asset",
    AssetState.ARRIVING,
    frozenset({AssetState.READY, AssetState.FAILED}),
    {
        AssetState.ARRIVING: {
            AssetState.READY: "all its bytes are in the spool",
            AssetState.FAILED: "its bytes never arrived",
        },
        AssetState.READY: {},
        AssetState.FAILED: {},
    },
)

MACHINES: Final = (GENERATION, BATCH, JOB, ATTEMPT, ASSET)


def document() -> str:
    """docs/STATES.md, whole."""
    parts = [
        "# States",
        "",
        "Written from the tables in `src/ferrotype/domain/states.py` by `python -m ferrotype.domain.states`;",
        "a test fails when the two differ.",
    ]
    for machine in MACHINES:
        parts += ["", f"## The {machine.name}", "", "```mermaid", machine.diagram(), "```"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    print(document(), end="")
