"""Pure code: what a generation, a job, an attempt, an asset, a model and a credit are.

Nothing here does input or output, knows a framework or reads a clock by itself.
"""
