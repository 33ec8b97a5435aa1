"""Any server that speaks the OpenAI Images API.

| module | holds |
| --- | --- |
| `provider` | the port's calls |
| `options` | what a deployment says |
| `order` | the body that is posted |
| `answer` | the open reply, read into events |
| `endings` | the service's errors as problems |
| `pictures` | masks and previews |
"""

from typing import Final

from ferrotype.providers.connections import Kind
from ferrotype.providers.openai.provider import OpenAIProvider
from ferrotype.providers.openai.settings import OpenAISettings

OPENAI: Final = Kind(
    OpenAISettings, OpenAIProvider.traits, lambda settings, name, _clock: OpenAIProvider(settings, name=name)
)

__all__ = ["OPENAI", "OpenAIProvider", "OpenAISettings"]
