"""What a deployment at RunPod says in its `options`.

| option | meaning |
| --- | --- |
| `workflow` | name of a workflow template: the endpoint runs worker-comfyui |
| `input` | template of the job's input (`providers/hosted/payload.py`): it runs any other handler |
| `pictures` | how `input` names input pictures: `data_uri` (as it is when omitted) or `base64` |
| `output` | where in the job's output the pictures are, dotted: `result.images`; found when omitted |
| `usd` | where in the job's output its price in dollars is: `cost` at RunPod's public endpoints |
| `wait` | seconds, 1 to 300: `runsync` is called and holds its answer so long; `run` when omitted |
| `policy` | laid over the job's policy: `lowPriority`, `executionTimeout` and `ttl` in milliseconds |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ferrotype.domain.problems import ProviderMisconfigured
from ferrotype.providers.base import AttemptRequest

#: Shortest and longest `wait`, in seconds: RunPod takes 1,000 to 300,000 ms.
WAIT: Final = (1.0, 300.0)


@dataclass(frozen=True, slots=True)
class Options:
    """A deployment's options, checked. Either `workflow` or `input` is given."""

    workflow: str | None = None
    input: Mapping[str, Any] | None = None
    pictures: Literal["data_uri", "base64"] = "data_uri"
    output: str | None = None
    usd: str | None = None
    wait: float | None = None
    policy: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, request: AttemptRequest) -> Options:
        """The options of a request's deployment.

        Raises ProviderMisconfigured naming the one that is of no use. Others may stand there too: workflow
        templates read them.
        """
        given, name = request.options, request.model or request.target
        workflow, template = given.get("workflow"), given.get("input")
        if (workflow is None) == (template is None):
            raise ProviderMisconfigured(f"{name}: its deployment at RunPod needs `workflow` or `input`.")
        if template is not None and not isinstance(template, Mapping):
            raise _wrong(name, "input", "a table")
        for key in ("workflow", "output", "usd"):
            if not isinstance(given.get(key), str | None):
                raise _wrong(name, key, "text")
        pictures = given.get("pictures", "data_uri")
        if pictures not in ("data_uri", "base64"):
            raise _wrong(name, "pictures", "`data_uri` or `base64`")
        wait = given.get("wait")
        if wait is not None and not (_is_number(wait) and WAIT[0] <= wait <= WAIT[1]):
            raise _wrong(name, "wait", "1 to 300 seconds")
        policy = given.get("policy", {})
        if not isinstance(policy, Mapping):
            raise _wrong(name, "policy", "a table")
        return cls(workflow, template, pictures, given.get("output"), given.get("usd"), wait, policy)

    @classmethod
    def of_started(cls, request: AttemptRequest) -> Options:
        """The options for a job that is under way: it is followed whatever the catalogue says by now."""
        try:
            return cls.of(request)
        except ProviderMisconfigured:
            return cls()


def dig(value: Any, path: str) -> Any:
    """What stands at `a.b.0.c` of a JSON value; None where nothing does."""
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(name: str, key: str, wanted: str) -> ProviderMisconfigured:
    return ProviderMisconfigured(f"{name}: option {key} of its deployment at RunPod must be {wanted}.")
