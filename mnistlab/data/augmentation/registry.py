"""The augmentations that ``conf/augment`` offers, by name."""

from __future__ import annotations

from typing import Any

from mnistlab.data.augmentation.base import NoAugment
from mnistlab.data.augmentation.combined import Combined
from mnistlab.data.augmentation.crop import Crop
from mnistlab.data.augmentation.erasing import Erasing
from mnistlab.data.augmentation.flip import Flip
from mnistlab.data.augmentation.mixup import Mixup
from mnistlab.data.augmentation.stroke_width import StrokeWidth
from mnistlab.data.augmentation.warps import Affine, Elastic, Shift

AUGMENTS: dict[str, type[Any]] = {
    "none": NoAugment,
    "shift": Shift,
    "affine": Affine,
    "elastic": Elastic,
    "stroke_width": StrokeWidth,
    "flip": Flip,
    "crop": Crop,
    "erasing": Erasing,
    "mixup": Mixup,
    "combined": Combined,
}
