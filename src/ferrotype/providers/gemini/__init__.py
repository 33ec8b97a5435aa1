"""Google's Gemini image models, by `generateContent`.

The protocol is that of ai.google.dev/api/generate-content, and of google-genai 3.4, Google's own client.
"""

from typing import Final

from ferrotype.providers.connections import Kind
from ferrotype.providers.gemini.provider import GeminiProvider
from ferrotype.providers.gemini.settings import GeminiSettings

GEMINI: Final = Kind(
    GeminiSettings, GeminiProvider.traits, lambda settings, name, _clock: GeminiProvider(settings, name=name)
)

__all__ = ["GEMINI", "GeminiProvider", "GeminiSettings"]
