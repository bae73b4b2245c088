"""Decision regions: the class that a model predicts in a plane, its probability, and the places for class names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MESH = 240  # points along each side of the plane
MARGIN = 0.05  # around the points, as a fraction of their extent
LEAST_INSIDE = 0.03  # of the mesh's side: a region that never extends this far from its edge has no room for a name

Predict = Callable[[np.ndarray], np.ndarray]  # points (n, 2) -> probabilities (n, classes)


@dataclass(frozen=True)
class Regions:
    """The predicted class and its probability on a mesh, (len(y), len(x)), and places for the names of regions."""

    x: np.ndarray
    y: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    named: np.ndarray  # (names, 3): the class, x, y; a region without room has no name


def mesh_around(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of a mesh over all points, with a margin around them."""
    low, high = scores.min(axis=0), scores.max(axis=0)
    margin = MARGIN * np.where(high > low, high - low, 1.0)
    x, y = np.linspace(low - margin, high + margin, MESH).T
    return x, y


def regions_of(predict: Predict, x: np.ndarray, y: np.ndarray) -> Regions:
    """Return the predictions of a model at every point of the mesh."""
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    probabilities = predict(places)
    classes = probabilities.argmax(axis=1).reshape(len(y), len(x))
    certain = probabilities.max(axis=1).reshape(classes.shape).astype(np.float32)
    return Regions(x, y, classes, certain, _places_of_names(classes, x, y))


def _places_of_names(classes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (class, x, y) of the innermost point of each connected region that is large enough for a label."""
    from scipy.ndimage import distance_transform_edt, label, maximum_position

    places = []
    for c in np.unique(classes):
        depth = distance_transform_edt(np.pad(classes == c, 1))[1:-1, 1:-1]
        regions, count = label(classes == c)
        for row, column in maximum_position(depth, regions, range(1, count + 1)):
            if depth[row, column] >= LEAST_INSIDE * len(x):
                places.append((float(c), x[column], y[row]))
    return np.array(places).reshape(-1, 3)
