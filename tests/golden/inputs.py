"""Data of the user's own for the golden scenarios, drawn from a fixed seed or taken from scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SIDE, EACH = 12, 12  # pixels; images of a class


def write_inputs(folder: Path) -> None:
    """Write pictures/ (a folder a class), digits.csv, digits.npz and photographs/."""
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target
    rows = np.concatenate([np.flatnonzero(labels == label)[:EACH] for label in range(10)])
    for row in rows:
        place = folder / "pictures" / str(labels[row])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[row]).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(place / f"{row}.png")
    header = ",".join(["label", *(f"pixel{i}" for i in range(64))])
    lines = [",".join(map(str, [labels[row], *images[row].ravel()])) for row in rows]
    (folder / "digits.csv").write_text("\n".join([header, *lines]) + "\n")
    np.savez(folder / "digits.npz", images=images[rows], labels=labels[rows])
    (folder / "photographs").mkdir()
    rng = np.random.default_rng(5)
    for row in rows[::17]:
        page = np.full((150, 120), 230.0)
        drawn = np.asarray(Image.fromarray(images[row]).resize((64, 64), Image.Resampling.BICUBIC), float)
        page[30:94, 25:89] -= 0.75 * drawn
        page += rng.normal(0, 3, page.shape)
        Image.fromarray(np.clip(page, 0, 255).astype(np.uint8)).save(folder / "photographs" / f"{row}.png")
