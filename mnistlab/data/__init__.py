"""Datasets of labelled images, cut into training, validation and test part.

A `Source` says where images come from and what is taken of them; `load` returns the `Dataset`.
"""

from mnistlab.data.dataset import Dataset, Part, Scaling, Source, ValidationFrom
from mnistlab.data.embedded import Digits, Mnist5k
from mnistlab.data.files import IdxSource, NpzSource
from mnistlab.data.folder import FolderSource
from mnistlab.data.load import Outline, describe, has_own_test, load, load_all, outline
from mnistlab.data.named import NamedSource, catalogue, fetch
from mnistlab.data.relabel import relabel
from mnistlab.data.tables import CsvSource

SOURCES: dict[str, type[Source]] = {
    "mnist5k": Mnist5k,
    "digits": Digits,
    "named": NamedSource,
    "csv": CsvSource,
    "idx": IdxSource,
    "folder": FolderSource,
    "npz": NpzSource,
}

__all__ = [
    "SOURCES",
    "Dataset",
    "Outline",
    "Part",
    "Scaling",
    "Source",
    "ValidationFrom",
    "catalogue",
    "describe",
    "fetch",
    "has_own_test",
    "load",
    "load_all",
    "outline",
    "relabel",
]
