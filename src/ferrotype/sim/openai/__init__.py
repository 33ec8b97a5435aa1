"""A simulated OpenAI Images API, with one model more as servers of one's own have them."""

from ferrotype.sim.openai.models import OPEN
from ferrotype.sim.openai.server import OpenAISim

__all__ = ["OPEN", "OpenAISim"]
