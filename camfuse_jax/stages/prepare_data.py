"""Stage `data`: makes the records of a data set, so that later stages only read."""

import sys

from camfuse_jax.stages.places import Places


def prepare_data(places: Places) -> None:
    """Prepares the pairs and, for the named data sets, the photographs; prints how many there are."""
    for split in ("train", "test"):
        print(f"data: {len(places.pairs(split))} {split} pairs of {places.label}", file=sys.stderr)
    photos = places.photos()
    if photos is not None:
        print(f"data: {len(photos)} photographs", file=sys.stderr)
