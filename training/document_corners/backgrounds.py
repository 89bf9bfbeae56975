"""All that may be under or behind a document, with its shares."""

from __future__ import annotations

import numpy as np

from training.document_corners import pictures, places, surfaces


def painted(rng: np.random.Generator, n: int) -> np.ndarray:
    return pictures.picture(rng, n, n)


# name: (painter, share under a document, share without one)
KINDS = {
    "wood": (surfaces.wood, 30, 8),
    "fabric": (surfaces.fabric, 13, 6),
    "stone": (surfaces.stone, 10, 6),
    "carpet": (surfaces.carpet, 7, 5),
    "tiles": (surfaces.tiles, 7, 6),
    "plain": (surfaces.plain, 17, 6),
    "leather": (surfaces.leather, 4, 2),
    "bokeh": (places.bokeh, 4, 6),
    "room": (places.room, 3, 25),
    "clutter": (places.clutter, 4, 8),
    "painted": (painted, 3, 16),
    "creature": (places.creature, 1, 14),
    "crowd": (places.crowd, 1, 16),
    "street": (places.street, 1, 7),
    "interior": (places.interior, 2, 22),
    "meadow": (places.meadow, 3, 9),
}
