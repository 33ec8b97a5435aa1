"""Which deployment of a model gets an attempt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import Random

from ferrotype.catalogue import Catalogue
from ferrotype.domain.model import Deployment, Model
from ferrotype.domain.problems import NoDeployment
from ferrotype.providers.base import Provider


class Routing:
    """Knows the configured providers and picks among a model's deployments by weight."""

    def __init__(
        self, providers: Mapping[str, Provider], catalogue: Catalogue, random: Random | None = None
    ) -> None:
        self.providers = providers
        self._catalogue = catalogue
        self._random = random or Random()

    @property
    def configured(self) -> Collection[str]:
        """Names of the providers that may be used."""
        return self.providers.keys()

    def model(self, name: str) -> Model:
        """The catalogue entry of an accepted generation. Raises NoDeployment when it is gone."""
        model = self._catalogue.models.get(name)
        if model is None:
            raise NoDeployment(f"The catalogue no longer has {name}.", field="model")
        return model

    def prompt(self, prompt: str, style: str | None) -> str:
        """`prompt` with the words of a style after it."""
        words = self._catalogue.styles[style].words if style in self._catalogue.styles else ""
        return ", ".join(part for part in (prompt, words) if part)

    def pick(self, model: Model, avoid: Collection[tuple[str, str]] = ()) -> Deployment:
        """A deployment outside `avoid`, (provider, target) pairs that just failed. Raises NoDeployment."""
        usable = [
            deployment
            for deployment in model.deployments
            if deployment.provider in self.providers and (deployment.provider, deployment.target) not in avoid
        ]
        if not usable:
            raise NoDeployment(f"No configured deployment of {model.name} is left.", field="model")
        return self._random.choices(usable, weights=[deployment.weight for deployment in usable])[0]

    def named(self, model: Model, provider: str, target: str) -> Deployment:
        """The deployment of an attempt that is already under way. Raises NoDeployment."""
        for deployment in model.deployments:
            if (deployment.provider, deployment.target) == (provider, target) and provider in self.providers:
                return deployment
        raise NoDeployment(f"{model.name} is no longer deployed as {target} on {provider}.", field="model")
