"""Augmentation: random changes of the training images, new in every epoch.

Validation and test images are never augmented. One module per kind of change; a list of them is `Combined`.
"""

from mnistlab.data.augmentation.base import Augment, Batch, NoAugment
from mnistlab.data.augmentation.combined import Combined
from mnistlab.data.augmentation.crop import Border, Crop
from mnistlab.data.augmentation.erasing import Erasing, Fill
from mnistlab.data.augmentation.fields import Table, Warp
from mnistlab.data.augmentation.flip import Flip
from mnistlab.data.augmentation.mixup import Mixup
from mnistlab.data.augmentation.registry import AUGMENTS
from mnistlab.data.augmentation.stroke_width import StrokeWidth
from mnistlab.data.augmentation.warps import Affine, Elastic, Shift, affine_fields, affine_matrix, gaussian_matrix

__all__ = [
    "AUGMENTS",
    "Affine",
    "Augment",
    "Batch",
    "Border",
    "Combined",
    "Crop",
    "Elastic",
    "Erasing",
    "Fill",
    "Flip",
    "Mixup",
    "NoAugment",
    "Shift",
    "StrokeWidth",
    "Table",
    "Warp",
    "affine_fields",
    "affine_matrix",
    "gaussian_matrix",
]
