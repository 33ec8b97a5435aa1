"""Why an answer holds no picture: every reason of the API, and the problem that it is.

The reasons are those of `FinishReason` and `BlockedReason` in google-genai 3.4 (types.py).
"""

from __future__ import annotations

from typing import Final

from ferrotype.domain.problems import (
    ProviderFailed,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRefused,
    ProviderRejected,
)

Ending = tuple[type[ProviderProblem], str]

#: `finishReason` of a candidate.
FINISHED: Final[dict[str, Ending]] = {
    "FINISH_REASON_UNSPECIFIED": (ProviderFailed, "it made no picture and does not say why"),
    "STOP": (ProviderFailed, "it answered without a picture"),
    "MAX_TOKENS": (ProviderFailed, "it ran out of tokens before the picture was done"),
    "CONTINUATION": (ProviderFailed, "it ran out of tokens before the picture was done"),
    "SAFETY": (ProviderRefused, "its safety filter stopped the answer"),
    "IMAGE_SAFETY": (ProviderRefused, "its safety filter held the picture back"),
    "PROHIBITED_CONTENT": (ProviderRefused, "it takes the content for prohibited"),
    "IMAGE_PROHIBITED_CONTENT": (ProviderRefused, "it takes the picture's content for prohibited"),
    "BLOCKLIST": (ProviderRefused, "the content holds a word of its block list"),
    "SPII": (ProviderRefused, "the content may hold sensitive personal information"),
    "RECITATION": (ProviderRefused, "the answer would repeat a protected work"),
    "IMAGE_RECITATION": (ProviderRefused, "the picture would repeat a protected work"),
    "MODEL_ARMOR": (ProviderRefused, "Model Armor blocked the answer"),
    "ESCALATION": (ProviderRefused, "a rule of its policy filtered the order"),
    "LANGUAGE": (ProviderRejected, "it does not speak the prompt's language"),
    "NO_IMAGE": (ProviderFailed, "it was to make a picture and made none"),
    "IMAGE_OTHER": (ProviderFailed, "the picture was not made, for a reason that it does not name"),
    "OTHER": (ProviderFailed, "it stopped for a reason that it does not name"),
    "MALFORMED_FUNCTION_CALL": (ProviderFailed, "it tried to call a function and failed"),
    "UNEXPECTED_TOOL_CALL": (ProviderFailed, "it called a tool that it was not given"),
    "TOO_MANY_TOOL_CALLS": (ProviderFailed, "it called tools without end"),
    "MALFORMED_RESPONSE": (ProviderFailed, "its own answer was malformed"),
    "MISSING_THOUGHT_SIGNATURE": (ProviderFailed, "it misses a thought signature in the conversation"),
    "PUP_LIMITED_DISABLED": (
        ProviderMisconfigured,
        "our account there is limited for violations of its prohibited use policy",
    ),
}

#: `promptFeedback.blockReason`: nothing was made at all.
BLOCKED: Final[dict[str, Ending]] = {
    "BLOCKED_REASON_UNSPECIFIED": (ProviderRefused, "it blocked the order and does not say why"),
    "SAFETY": (ProviderRefused, "its safety filter blocked the order"),
    "OTHER": (ProviderRefused, "it blocked the order for a reason that it does not name"),
    "BLOCKLIST": (ProviderRefused, "the order holds a word of its block list"),
    "PROHIBITED_CONTENT": (ProviderRefused, "it takes the order's content for prohibited"),
    "IMAGE_SAFETY": (ProviderRefused, "it takes the order for unsafe to make a picture of"),
    "MODEL_ARMOR": (ProviderRefused, "Model Armor blocked the order"),
    "JAILBREAK": (ProviderRefused, "it takes the order for an attempt to get round its rules"),
}


def finished(reason: str) -> Ending:
    """The ending of a `finishReason`; one that is newer than this table is a failure."""
    return FINISHED.get(reason, (ProviderFailed, "it stopped without a picture"))


def blocked(reason: str) -> Ending:
    """The ending of a `blockReason`; any is a refusal."""
    return BLOCKED.get(reason, (ProviderRefused, "it blocked the order"))
