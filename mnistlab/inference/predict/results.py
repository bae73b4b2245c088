"""Predictions as a table for people, as JSON for programs, and as CSV for spreadsheets and Kaggle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.inference.predict.preprocessing import Prepared, Style
from mnistlab.metrics.classification import wilson
from mnistlab.reporting import tables

if TYPE_CHECKING:
    from mnistlab.runs.saved_run import SavedRun

LOW = 0.7  # a probability below this is marked: of such answers on photographs, about every other is wrong
IN_FULL = 8  # digits of a picture whose probabilities stand in the table; of more, the range


@dataclass(frozen=True)
class Digit:
    """One digit of a picture, or the whole picture: its probabilities (classes,) and the network's input."""

    probabilities: np.ndarray
    prepared: Prepared

    def ranked(self, most: int) -> list[tuple[int, float]]:
        """Return the most probable classes with their probabilities, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:most]
        return [(int(k), float(self.probabilities[k])) for k in order]

    @property
    def is_uncertain(self) -> bool:
        """Return whether even the most probable class has a low probability."""
        return bool(self.probabilities.max() < LOW)


@dataclass(frozen=True)
class Predicted:
    """One picture: its digits in reading order, its size (height, width), and its true answer where it is known."""

    file: str
    digits: tuple[Digit, ...]
    size: tuple[int, int]
    thumbnail: np.ndarray
    truth: str | None = None

    def answer(self, class_names: Sequence[str]) -> str:
        """Return the class, or the classes of all digits as a string with a space between lines."""
        text = class_names[self.digits[0].ranked(1)[0][0]]
        for before, digit in zip(self.digits, self.digits[1:], strict=False):
            text += " " if digit.prepared.line != before.prepared.line else ""
            text += class_names[digit.ranked(1)[0][0]]
        return text

    @property
    def probability(self) -> float:
        """Return the probability of the answer; of several digits, that of the least certain."""
        return min(digit.ranked(1)[0][1] for digit in self.digits)

    @property
    def taken(self) -> str:
        """Return a description of the preprocessing."""
        done = sorted({word for digit in self.digits for word in digit.prepared.done.split(", ")})
        count = [f"{len(self.digits)} digits"] if len(self.digits) > 1 else []
        return ", ".join([*done, *count])

    @property
    def note(self) -> str:
        """Return a mark if the answer is uncertain, with the digits that are."""
        unsure = [str(i) for i, digit in enumerate(self.digits, 1) if digit.is_uncertain]
        if not unsure or len(self.digits) == 1:
            return "low confidence" if unsure else ""
        some = ", ".join(unsure[:IN_FULL]) + (", ..." if len(unsure) > IN_FULL else "")
        return f"low confidence: digit{'s' if len(unsure) > 1 else ''} {some}"


@dataclass(frozen=True)
class Failed:
    """A picture that could not be classified, and the reason."""

    file: str
    reason: str


@dataclass(frozen=True)
class Accuracy:
    """How many of the labelled pictures were right, and those that were not. Unreadable ones count nowhere."""

    n: int
    mistakes: list[Predicted]

    def as_json(self) -> dict[str, Any]:
        """Return the accuracy with its interval as plain values."""
        correct = self.n - len(self.mistakes)
        interval = list(wilson(correct, self.n))
        return {"n": self.n, "correct": correct, "accuracy": correct / self.n, "accuracy_interval": interval}

    def text(self) -> str:
        """Return the accuracy with its interval in one line."""
        scores = self.as_json()
        low, high = (100 * bound for bound in scores["accuracy_interval"])
        return (
            f"accuracy {100 * scores['accuracy']:.2f} % (95 % confidence interval {low:.2f} to {high:.2f}, "
            f"{scores['correct']:,} of {self.n:,} pictures)"
        )


def measure(predictions: Sequence[Predicted], class_names: Sequence[str]) -> Accuracy | None:
    """Return the accuracy on the pictures whose true answer is known; None if there is none."""
    labelled = [one for one in predictions if one.truth is not None]
    wrong = [one for one in labelled if one.answer(class_names) != one.truth]
    wrong.sort(key=lambda one: -one.probability)
    return Accuracy(len(labelled), wrong) if labelled else None


def table(predictions: Sequence[Predicted], class_names: Sequence[str]) -> str:
    """Return a table with one row per picture: the two most probable classes, and the preprocessing.

    The true class and a mark of low confidence have a column where a picture has one.
    """
    if not predictions:
        return ""
    header = ["file", "class", "probability", "second", "probability", "read as"]
    rows = []
    for one in predictions:
        best = [digit.ranked(2) for digit in one.digits]
        second = best[0][1:] if len(best) == 1 else []
        each = [f"{ranked[0][1]:.4f}" for ranked in best]
        if len(each) > IN_FULL:
            each = [f"{min(each)} to {max(each)}"]
        name, q = (plain(class_names[second[0][0]]), f"{second[0][1]:.4f}") if second else ("", "")
        rows.append([plain(one.file), plain(one.answer(class_names)), " ".join(each), name, q, one.taken])
    if any(one.truth is not None for one in predictions):
        header.insert(1, "truth")
        for row, one in zip(rows, predictions, strict=True):
            row.insert(1, plain(one.truth or ""))
    if any(one.note for one in predictions):
        header.append("note")
        for row, one in zip(rows, predictions, strict=True):
            row.append(one.note)
    numbers = [i for i, name in enumerate(header) if name == "probability"]
    return "\n".join(line.rstrip() for line in tables.text((header, rows), right=numbers).splitlines())


def as_json(run: SavedRun, style: Style, predictions: Sequence[Predicted], failed: Sequence[Failed]) -> dict[str, Any]:
    """Return all results as plain values."""
    accuracy = measure(predictions, run.class_names)
    return {
        "run": run.given,
        "model_sha256": run.model_sha256,
        "classes": list(run.class_names),
        "as": style.way.value,
        "predictions": [_row(one, run.class_names) for one in predictions],
        "failed": [{"file": one.file, "reason": one.reason} for one in failed],
        "accuracy": accuracy.as_json() if accuracy else None,
    }


def _row(one: Predicted, class_names: Sequence[str]) -> dict[str, Any]:
    digits = [_digit(digit, class_names) for digit in one.digits]
    return {
        "file": one.file,
        "truth": one.truth,
        "class": one.answer(class_names),
        "probability": one.probability,
        "low_confidence": bool(one.note),
        "probabilities": digits[0]["probabilities"] if len(digits) == 1 else None,
        "height": one.size[0],
        "width": one.size[1],
        "taken": one.taken,
        "digits": digits,
    }


def _digit(digit: Digit, class_names: Sequence[str]) -> dict[str, Any]:
    ((best, p),) = digit.ranked(1)
    return {
        "class": class_names[best],
        "probability": p,
        "low_confidence": digit.is_uncertain,
        "probabilities": {name: float(q) for name, q in zip(class_names, digit.probabilities, strict=True)},
        "box": dict(zip(("left", "top", "width", "height"), digit.prepared.box, strict=True)),
        "line": digit.prepared.line + 1,
    }


def csv_rows(predictions: Sequence[Predicted], class_names: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of a CSV file with one row per picture."""
    labelled = any(one.truth is not None for one in predictions)
    columns = ["file", *(["truth"] if labelled else []), "class", "probability", "low_confidence"]
    rows = []
    for one in predictions:
        truth = [one.truth or ""] if labelled else []
        rows.append([one.file, *truth, one.answer(class_names), one.probability, str(bool(one.note)).lower()])
    return columns, rows


def plain(name: str) -> str:
    """Return a name on one line, without unprintable characters."""
    return "".join(c if c.isprintable() else "?" for c in name)
