"""What a deployment of the catalogue says: which model, version or deployment, and its options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ferrotype.domain.problems import ProviderMisconfigured
from ferrotype.providers.base import AttemptRequest

NAME: Final = r"[A-Za-z0-9][\w.-]*"
VERSION: Final = re.compile(rf"(?:(?P<model>{NAME}/{NAME}):)?(?P<version>[0-9a-f]{{64}})")
MODEL: Final = re.compile(rf"(?P<deployment>deployments/)?(?P<name>(?!deployments/){NAME}/{NAME})")


@dataclass(frozen=True, slots=True)
class Target:
    """`owner/name` (official models), `owner/name:version` or a bare version, `deployments/owner/name`; a
    version has 64 hexadecimal digits. `path` is where its predictions are made."""

    path: str
    model: str | None = None
    version: str | None = None
    deployment: str | None = None

    @classmethod
    def of(cls, request: AttemptRequest) -> Target:
        """Raises ProviderMisconfigured for anything else."""
        if match := VERSION.fullmatch(request.target):
            return cls("/v1/predictions", model=match["model"], version=match["version"])
        if match := MODEL.fullmatch(request.target):
            name = match["name"]
            if match["deployment"]:
                return cls(f"/v1/deployments/{name}/predictions", deployment=name)
            return cls(f"/v1/models/{name}/predictions", model=name)
        raise ProviderMisconfigured(
            f"{request.model}: {request.target!r} is no owner/name, owner/name:version, version or"
            " deployments/owner/name."
        )

    def made(self, prediction: Mapping[str, Any]) -> bool:
        """Whether the prediction is one of it, as far as it tells."""
        if self.deployment is not None:
            names = (self.deployment, self.deployment.partition("/")[2])
            return prediction.get("deployment") in names
        wanted = (("model", self.model), ("version", self.version))
        return all(value is None or prediction.get(name) == value for name, value in wanted)


@dataclass(frozen=True, slots=True)
class Options:
    """A deployment's `options` that are read here.

    `input` is the template of the input. `wait`: seconds, instead of the setting's. `default_format` is what
    an order without a format gets; `formats` are the model's own names of formats.
    """

    input: Mapping[str, Any]
    wait: int | None
    default_format: str | None
    formats: Mapping[str, str]

    @classmethod
    def of(cls, request: AttemptRequest) -> Options:
        """Raises ProviderMisconfigured naming the option that is of no use."""
        given = request.options
        template, wait, form = given.get("input"), given.get("wait"), given.get("default_format")
        formats = given.get("formats", {})
        faults = {
            "input is a table": isinstance(template, Mapping),
            "wait is 0 to 60 seconds": wait is None or (type(wait) is int and 0 <= wait <= 60),
            "default_format is a name": form is None or isinstance(form, str),
            "formats is a table of names": isinstance(formats, Mapping)
            and all(isinstance(name, str) for name in formats.values()),
        }
        for rule, kept in faults.items():
            if not kept:
                raise ProviderMisconfigured(f"{request.model}: of its deployment's options, {rule}.")
        assert isinstance(template, Mapping)
        return cls(template, wait, form, {"jpeg": "jpg", **formats})

    def format_of(self, request: AttemptRequest) -> str | None:
        """The format to ask for, as the model calls it."""
        form = request.format or self.default_format
        return self.formats.get(form, form) if form is not None else None

    @property
    def seeded(self) -> bool:
        """Whether the input tells one order from another by its seed."""
        return "{seed}" in self.input.values()
