"""A Gemini API that makes pictures on the spot: `generateContent` with its streams, models, files."""

from ferrotype.sim.gemini.server import GeminiScript, GeminiSim

__all__ = ["GeminiScript", "GeminiSim"]
