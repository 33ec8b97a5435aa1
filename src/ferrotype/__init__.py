"""Ferrotype: a self-hosted image-generation gateway and delivery server."""

__version__ = "0.1.0"
