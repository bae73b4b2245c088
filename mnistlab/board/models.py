"""Networks of saved runs, to compute what no file has: other probabilities, feature maps, occlusion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.inference.serve.session import grey_levels, layer_maps, packed
from mnistlab.metrics.occlusion import occlude
from mnistlab.runs import paths
from mnistlab.runs.saved_run import SavedRun, open_run
from mnistlab.system.errors import RequestError

KEPT = 4  # networks in memory
KEPT_PROBABILITIES = 16


class Models:
    """Networks, and their probabilities of the validation sets. The caller holds the board's lock.

    Everything is computed by the NumPy layers, whatever the run was trained with: no kernel is compiled for a look.
    """

    def __init__(self) -> None:
        self._runs: dict[tuple[Path, int], SavedRun] = {}
        self._probabilities: dict[tuple[Path, int, str], np.ndarray] = {}

    def of(self, run: Path) -> SavedRun:
        """Return the saved run; raises `RequestError` if it has no model, or a damaged one."""
        key = self._key(run)
        if key not in self._runs:
            while len(self._runs) >= KEPT:
                del self._runs[next(iter(self._runs))]
            self._runs[key] = open_run(str(run))
        return self._runs[key]

    def probabilities(self, run: Path, images: np.ndarray, name: str) -> np.ndarray:
        """Return the probabilities of images, which ``name`` identifies."""
        key = (*self._key(run), name)
        if key not in self._probabilities:
            saved = self.of(run)
            if images.shape[1:] != saved.network.image_shape:
                height, width = saved.network.image_shape
                raise RequestError(f"the images are not {height} x {width} pixels, the size that this network takes")
            with saved.compute.limits():
                computed = saved.network.predict(images)
            if not np.isfinite(computed).all():
                raise RequestError("the network overflows on these images; the model cannot be used, train it again")
            while len(self._probabilities) >= KEPT_PROBABILITIES:
                del self._probabilities[next(iter(self._probabilities))]
            self._probabilities[key] = computed
        return self._probabilities[key]

    def inside(self, run: Path, image: np.ndarray, fill: int) -> dict[str, Any]:
        """Return the maps of the layers for an image (height, width), and its occlusion map.

        ``fill`` is the grey level of the occluding patch; the drop is that of the predicted class.
        """
        saved = self.of(run)
        network = saved.network
        with saved.compute.limits():
            (probabilities,) = network.predict(image[None])
            maps = layer_maps(network, image[None])
            predicted = int(probabilities.argmax())
            (drops,) = occlude(network.predict, image[None], np.array([predicted]), fill)
        return {
            "probabilities": probabilities,
            "layers": [{"title": title, **packed(grey_levels(layer))} for title, layer in maps.items()],
            "drops": drops,
            "predicted": predicted,
        }

    def _key(self, run: Path) -> tuple[Path, int]:
        try:
            return run, (run / paths.MODEL).stat().st_mtime_ns
        except OSError:
            return run, 0
