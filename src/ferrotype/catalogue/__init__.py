"""What can be ordered: models, styles, aspect ratios."""

from ferrotype.catalogue.catalogue import Catalogue, CatalogueSettings, load_catalogue

__all__ = ["Catalogue", "CatalogueSettings", "load_catalogue"]
