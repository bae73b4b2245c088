"""Photographs of digits that nobody took: an image of MNIST drawn large on paper, with light, noise and place drawn."""

from __future__ import annotations

import numpy as np
from PIL import Image


def photograph(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return grey levels (h, w) uint8, 120 to 700 pixels a side: the digit off-centre, a quarter to all of the page.

    Paper and ink are any two levels, half of them light on dark; the light falls by up to half across and by a third
    down; the noise has a standard deviation of up to 8 levels.
    """
    h, w = (int(side) for side in rng.integers(120, 700, 2))
    side = int(rng.uniform(0.25, 0.9) * min(h, w))
    top, left = int(rng.integers(0, h - side + 1)), int(rng.integers(0, w - side + 1))
    ink = np.zeros((h, w))
    drawn = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    ink[top : top + side, left : left + side] = np.asarray(drawn, float) / 255
    y, x = np.mgrid[0 : 1 : h * 1j, 0 : 1 : w * 1j]
    light = 1 - rng.uniform(0, 0.5) * x - rng.uniform(0, 0.3) * y
    paper, pen = rng.uniform(180, 250), rng.uniform(10, 80)
    page = (paper + (pen - paper) * ink) * light
    if rng.random() < 0.5:
        page = 255 - page
    return np.clip(page + rng.normal(0, rng.uniform(0, 8), page.shape), 0, 255).astype(np.uint8)
