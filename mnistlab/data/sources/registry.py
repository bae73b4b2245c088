"""The sources that ``conf/data`` names, by the name of their schema."""

from mnistlab.data.dataset import Source
from mnistlab.data.sources.bundled import Digits, Mnist5k
from mnistlab.data.sources.by_format import AutoSource, CsvSource, FolderSource, IdxSource, NpzSource
from mnistlab.data.sources.published import NamedSource

SOURCES: dict[str, type[Source]] = {
    "mnist5k": Mnist5k,
    "digits": Digits,
    "named": NamedSource,
    "auto": AutoSource,
    "csv": CsvSource,
    "idx": IdxSource,
    "folder": FolderSource,
    "npz": NpzSource,
}
