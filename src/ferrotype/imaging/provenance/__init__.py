"""Where a picture comes from, said in the picture: XMP, C2PA manifests, and what is taken out of it."""
