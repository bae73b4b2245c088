"""The one place that makes all data alike: upright 8-bit grey images of one size, and class numbers from 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.data.formats import images as image_arrays
from mnistlab.data.formats import labels, scaling
from mnistlab.data.formats.record import IN_WORDS, PARTS, Options, Record
from mnistlab.data.idx_format import LARGEST, BadFileError


@dataclass
class Normal:
    """The arrays of a dataset by ``PART_images`` (n, height, width) uint8 and ``PART_labels`` (n,) int64."""

    arrays: dict[str, np.ndarray]
    class_names: tuple[str, ...]
    remarks: list[str]
    scale: scaling.Range


def normalised(record: Record, options: Options) -> Normal:
    """Return the dataset of a record, and a remark for everything that was assumed."""
    unlabelled = [part for part, content in record.parts.items() if content.labels is None]
    if unlabelled:
        raise BadFileError(
            f"the {IN_WORDS[unlabelled[0]]} images have no labels, which training needs; name their file or array with"
            f" {'train' if unlabelled[0] == 'train' else 'test'}_labels, keys or label (`mnistlab predict` needs none)"
        )
    remarks = list(record.remarks)
    arrays: dict[str, np.ndarray] = {}
    classes = labels.numbered({p: np.asarray(c.labels) for p, c in record.parts.items()}, record.class_names, options)
    stacks = {
        part: image_arrays.laid_out(part, content, options.shape or record.shape, record.padded, remarks)
        for part, content in record.parts.items()
    }
    scale = _scale(record, stacks, remarks)
    for part in PARTS:
        if part in stacks:
            arrays[f"{part}_images"] = _turned(scaling.as_bytes(stacks.pop(part), scale), record, options, remarks)
            arrays[f"{part}_labels"] = classes.labels[part]
    _same_size(arrays)
    return Normal(arrays, classes.names, list(dict.fromkeys([*remarks, *classes.remarks])), scale)


def _scale(record: Record, stacks: dict[str, np.ndarray], remarks: list[str]) -> scaling.Range:
    """Return the range of the pixels, which is that of all sets together."""
    by_part = {IN_WORDS[part]: scaling.survey([stack]) for part, stack in stacks.items()}
    scaling.refuse_mixed(by_part)
    values = scaling.together(by_part.values())
    bits = 8 if all(stack.dtype == np.int8 for stack in stacks.values()) else 64
    scale = scaling.range_of(values, bits)
    if scale is None:
        for part, stack in stacks.items():
            scaling.refuse_stray(f"the array of {IN_WORDS[part]} images", stack)
        raise BadFileError("the pixels are of no range that is known; scale them to 0 to 255")
    if record.ready and values.high > 1:
        scale = scaling.Range()
    if scale.remark:
        remarks.append(scale.remark)
    most = max(stack.size for stack in stacks.values())
    if most > LARGEST:
        raise BadFileError(f"{most:,} pixels are more than the maximum of {LARGEST:,}; set size or limit")
    return scale


def _turned(stack: np.ndarray, record: Record, options: Options, remarks: list[str]) -> np.ndarray:
    """Return the images upright, light on dark if asked, and of the chosen size."""
    transpose = record.transposed if options.transpose is None else options.transpose
    if transpose:
        if options.transpose is None:
            remarks.append("rows and columns exchanged, as in all EMNIST files")
        stack = np.ascontiguousarray(stack.transpose(0, 2, 1))
    if options.invert:
        stack = 255 - stack
    return stack if options.size is None else image_arrays.resized(stack, options.size)


def _same_size(arrays: dict[str, np.ndarray]) -> None:
    sizes = {name: array.shape[1:] for name, array in arrays.items() if name.endswith("_images")}
    if len(set(sizes.values())) > 1:
        first, second = list(dict.fromkeys(sizes.values()))[:2]
        named = " and ".join(dict.fromkeys(IN_WORDS[name.removesuffix("_images")] for name in sizes))
        raise BadFileError(
            f"{named} images differ in size ({first[0]} x {first[1]} and {second[0]} x {second[1]});"
            " all images must have one size; set size, e.g. size=28"
        )
