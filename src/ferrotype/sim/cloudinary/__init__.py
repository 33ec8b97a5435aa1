"""Cloudinary, simulated: signed uploads, whole and in chunks, destroy, ping, resources, delivery.

Sources: pycloudinary 1.46 (`uploader.py`, `api.py`, `utils.py`), Cloudinary's pages on upload, admin API,
naming conventions, chunked upload and media access; the texts of errors are those that users report.
"""

from ferrotype.sim.cloudinary.library import Asset
from ferrotype.sim.cloudinary.script import CloudinaryScript
from ferrotype.sim.cloudinary.server import CloudinarySim

__all__ = ["Asset", "CloudinaryScript", "CloudinarySim"]
