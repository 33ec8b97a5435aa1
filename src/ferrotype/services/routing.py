"""Which deployment of a model gets an attempt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from random import Random
from typing import Final

from ferrotype.catalogue import Catalogue
from ferrotype.domain.generation import Generation
from ferrotype.domain.model import Deployment, Model
from ferrotype.domain.problems import NoDeployment, Problem, ProviderBusy
from ferrotype.providers.base import Provider
from ferrotype.services.standing import Key, Standings, key_of

#: Seconds after which a job that waits for a full deployment looks again by itself; ordinarily the end of a
#: call there makes it due. Longer for those further back.
LOOK_AGAIN: Final = 5.0
LOOK_AGAIN_CAP: Final = 60.0


class Again(Exception):
    """The job goes back to its queue and gives its seat of the class to others: nothing has run.

    `full` are deployments whose next free place would do.
    """

    def __init__(self, seconds: float, problem: Problem, full: Collection[Deployment] = ()) -> None:
        super().__init__(problem.detail)
        self.seconds = seconds
        self.problem = problem
        self.full = full


class Routing:
    """Knows the providers and their standing, and picks among a model's deployments."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        catalogue: Catalogue,
        standings: Standings,
        random: Random | None = None,
    ) -> None:
        self.providers = providers
        self.standings = standings
        self._catalogue = catalogue
        self._random = random or Random()

    @property
    def configured(self) -> Collection[str]:
        """Names of the connections that may be used."""
        return self.providers.keys()

    def model(self, generation: Generation) -> Model:
        """The catalogue entry of an accepted generation, with the deployments that honour its order.

        Raises NoDeployment when there is none any more.
        """
        model = self._catalogue.models.get(generation.model)
        if model is None:
            raise NoDeployment(f"The catalogue no longer has {generation.model}.", field="model")
        serving = model.serving(generation.input)
        if len(serving) == len(model.deployments):
            return model
        return model.model_copy(update={"deployments": serving})

    def deployments(self, model: Model, avoid: Collection[Key] = ()) -> list[Deployment]:
        """Those that are configured and not to be avoided, in the order of the catalogue."""
        return [
            deployment
            for deployment in model.deployments
            if deployment.provider in self.providers and key_of(deployment) not in avoid
        ]

    def take(self, model: Model, avoid: Collection[Key] = ()) -> Deployment:
        """A deployment that takes a call now, its place taken; `standings.leave` gives it back.

        Lower priorities first, by weight among equals. Raises NoDeployment when none is left outside
        `avoid`, ProviderMisconfigured when only wrong settings stand in the way, Again when each must wait.
        """
        usable = self.deployments(model, avoid)
        if not usable:
            raise NoDeployment(f"No configured deployment of {model.name} is left.", field="model")
        taken = self.standings.enter_first(self._by_preference(usable))
        if taken is not None:
            return taken
        self.check_settings(usable)
        waits = {key_of(each): self.standings.wait(each) for each in usable}
        full = [each for each in usable if waits[key_of(each)] is None]
        timed = [wait for wait in waits.values() if wait is not None]
        seconds = min(timed, default=LOOK_AGAIN_CAP)
        if full:
            seconds = min(seconds, LOOK_AGAIN)
        names = ", ".join(sorted({each.provider for each in usable}))
        raise Again(seconds, ProviderBusy(f"{model.name} waits for a place at {names}."), full)

    def check_settings(self, deployments: Iterable[Deployment]) -> None:
        """Raises ProviderMisconfigured when the settings of all of them are wrong: waiting helps nobody."""
        wrong = [self.standings.misconfigured(each) for each in deployments]
        if wrong and wrong[0] is not None and None not in wrong:
            raise wrong[0]

    def _by_preference(self, usable: list[Deployment]) -> list[Deployment]:
        """A random order in which, at each step, the odds are the weights of the lowest priority left."""
        order: list[Deployment] = []
        for priority in sorted({each.priority for each in usable}):
            left = [each for each in usable if each.priority == priority]
            while left:
                chosen = self._random.choices(left, weights=[each.weight for each in left])[0]
                left.remove(chosen)
                order.append(chosen)
        return order

    def named(self, model: Model, provider: str, target: str) -> Deployment:
        """The deployment of an attempt that is already under way. Raises NoDeployment."""
        for deployment in model.deployments:
            if (deployment.provider, deployment.target) == (provider, target) and provider in self.providers:
                return deployment
        raise NoDeployment(f"{model.name} is no longer deployed as {target} on {provider}.", field="model")
