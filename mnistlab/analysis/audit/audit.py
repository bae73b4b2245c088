"""The audit of a dataset: its rows and their parts, the label errors, the duplicates, and the files that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.analysis.audit import duplicates, label_errors
from mnistlab.analysis.audit.duplicates import Pair
from mnistlab.analysis.audit.label_errors import LabelErrors
from mnistlab.data.dataset import Pool, Split
from mnistlab.runs import paths
from mnistlab.system import files

SHOWN = 10  # rows of each list on the terminal
ERROR_COLUMNS = ("part", "row", "label", "suggested", "quality", "suggested_probability", "is_error")
PAIR_COLUMNS = ("part", "row", "label", "other_part", "other_row", "other_label", "similarity", "identical")


@dataclass(frozen=True)
class Rows:
    """All images of a dataset, in the order of its parts, with the part and the row in it of each."""

    images: np.ndarray
    labels: np.ndarray
    parts: np.ndarray  # "train", "validation" or "test"
    rows: np.ndarray

    def take(self, chosen: np.ndarray) -> Rows:
        """Return some of the rows."""
        return Rows(self.images[chosen], self.labels[chosen], self.parts[chosen], self.rows[chosen])

    @property
    def split(self) -> Split:
        """Return images and labels."""
        return Split(self.images, self.labels)


@dataclass(frozen=True)
class Audit:
    """What was found. ``scored`` are the rows that have probabilities, with their label errors."""

    about: Mapping[str, Any]
    class_names: tuple[str, ...]
    rows: Rows
    scored: np.ndarray
    probabilities: np.ndarray
    errors: LabelErrors
    pairs: Sequence[Pair]


def rows_of(pool: Pool) -> Rows:
    """Return all images of a source."""
    parts = parts_of(pool)
    return Rows(
        np.concatenate([part.images for part in parts.values()]),
        np.concatenate([part.labels for part in parts.values()]),
        np.repeat([*parts], [len(part) for part in parts.values()]),
        np.concatenate([np.arange(len(part)) for part in parts.values()]),
    )


def parts_of(pool: Pool) -> dict[str, Split]:
    """Return the parts of a source by name; few have a validation part of their own."""
    parts = {"train": pool.train, "validation": pool.validation, "test": pool.test}
    return {name: part for name, part in parts.items() if part is not None}


def audited(
    pool: Pool, scored: np.ndarray, probabilities: np.ndarray, about: Mapping[str, Any], threshold: float
) -> Audit:
    """Return the audit of a source, given out-of-sample probabilities of some of its rows."""
    rows = rows_of(pool)
    errors = label_errors.find(rows.labels[scored], probabilities)
    pairs = duplicates.find(rows.images, threshold)
    audit = Audit(about, pool.class_names, rows, scored, probabilities, errors, pairs)
    return Audit({**about, **_counts(audit), "scores": scores(audit)}, *_rest(audit))


def _rest(audit: Audit) -> tuple[Any, ...]:
    return audit.class_names, audit.rows, audit.scored, audit.probabilities, audit.errors, audit.pairs


def _counts(audit: Audit) -> dict[str, Any]:
    parts = audit.rows.parts
    crossing = [pair for pair in audit.pairs if parts[pair.first] != parts[pair.second]]
    return {
        "images": len(audit.rows.labels),
        "scored": len(audit.scored),
        "label_errors": int(audit.errors.is_error.sum()),
        "duplicates": len(audit.pairs),
        "identical": sum(pair.is_identical for pair in audit.pairs),
        "across_parts": len(crossing),
        "different_labels": sum(bool(audit.rows.labels[p.first] != audit.rows.labels[p.second]) for p in audit.pairs),
    }


def scores(audit: Audit) -> list[dict[str, Any]]:
    """Return the accuracy of the out-of-sample predictions on each part: of all images, and without those found."""
    labels, parts = audit.rows.labels[audit.scored], audit.rows.parts
    right = audit.probabilities.argmax(axis=1) == labels
    copied = _copied(audit)
    lines = []
    for part in dict.fromkeys(parts[audit.scored].tolist()):
        inside = parts[audit.scored] == part
        kinds = {
            "all": inside,
            "without label errors": inside & ~audit.errors.is_error,
            "without copies of training images": inside & ~copied[audit.scored],
        }
        for kind, kept in kinds.items():
            if part == "train" and kind.startswith("without copies"):
                continue
            lines.append({
                "part": part, "images": kind, "n": int(kept.sum()),
                "accuracy": float(right[kept].mean()) if kept.any() else None,
            })  # fmt: skip
    return lines


def _copied(audit: Audit) -> np.ndarray:
    """Return which images outside the training part are copies of training images.

    Only the first of a set of identical images is compared with others, and a pair of such images counts for all of
    both sets.
    """
    same = np.arange(len(audit.rows.labels))  # of each image, the first that is identical
    for pair in audit.pairs:
        if pair.is_identical:
            same[pair.second] = pair.first
    is_train = audit.rows.parts == "train"
    in_train = np.zeros(len(same), bool)
    in_train[same[is_train]] = True  # by the first of a set: whether one of the set is a training image
    near = in_train.copy()
    for pair in audit.pairs:
        if not pair.is_identical:
            near[pair.first] |= in_train[pair.second]
            near[pair.second] |= in_train[pair.first]
    copied: np.ndarray = near[same] & ~is_train
    return copied


def write(audit: Audit, folder: Path) -> None:
    """Write audit.json, label_errors.csv with every scored image, and duplicates.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write(folder / paths.LABEL_ERRORS, files.csv(ERROR_COLUMNS, _error_rows(audit)))
    files.write(folder / paths.DUPLICATES, files.csv(PAIR_COLUMNS, [_pair_row(audit, pair) for pair in audit.pairs]))
    files.write_json(folder / paths.AUDIT, {**audit.about, "class_names": list(audit.class_names)})


def _error_rows(audit: Audit) -> list[Sequence[Any]]:
    errors, rows, names = audit.errors, audit.rows.take(audit.scored), audit.class_names
    return [
        (
            *(rows.parts[i], int(rows.rows[i]), names[rows.labels[i]], names[errors.suggested[i]]),
            *(_short(errors.quality[i]), _short(audit.probabilities[i, errors.suggested[i]]), int(errors.is_error[i])),
        )
        for i in errors.ranked()
    ]


def _pair_row(audit: Audit, pair: Pair) -> Sequence[Any]:
    rows, names = audit.rows, audit.class_names
    first, second = ((rows.parts[i], int(rows.rows[i]), names[rows.labels[i]]) for i in (pair.first, pair.second))
    return *first, *second, _short(pair.similarity), int(pair.is_identical)


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def text(audit: Audit, folder: Path) -> str:
    """Return the audit as text: the counts, the most suspicious images, and where the rest is."""
    from mnistlab.reporting import tables

    about = audit.about
    lines = [
        f"{about['name']}: {about['images']:,} images, {about['scored']:,} of them scored by {about['by']}",
        f"{about['label_errors']:,} labels are probably wrong, the most suspicious first:",
    ]
    worst = [row for row in _error_rows(audit) if row[-1]][:SHOWN]
    if worst:
        lines += ["", tables.text((ERROR_COLUMNS[:-1], [_cells(row[:-1]) for row in worst]), right=(1, 4, 5)), ""]
    lines.append(
        f"{about['duplicates']:,} pairs of images are copies ({about['identical']:,} identical, "
        f"{about['across_parts']:,} between training and test part, "
        f"{about['different_labels']:,} with different labels)"
    )
    if audit.pairs:
        pairs = [_cells(_pair_row(audit, pair)) for pair in audit.pairs[:SHOWN]]
        lines += ["", tables.text((PAIR_COLUMNS, pairs), right=(1, 4, 6)), ""]
    accuracies = [
        (line["part"], line["images"], f"{line['n']:,}", _percent(line["accuracy"])) for line in about["scores"]
    ]
    table = tables.text((("part", "images", "n", "accuracy (%)"), accuracies), right=(2, 3))
    lines += ["accuracy with and without them:", "", table, ""]
    lines.append(f"both lists are in {folder}; `mnistlab board` shows their images. Look before you leave any out:")
    lines.append("to leave out what a model finds suspicious always raises the accuracy of that model.")
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _cells(row: Sequence[Any]) -> list[str]:
    return [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row]
