"""Text formats of machine-learning collections: libsvm's sparse rows, and ARFF of Weka and OpenML."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import numpy as np

from mnistlab.data.formats import content, table_layout
from mnistlab.data.formats.record import Options, Part, Record
from mnistlab.data.formats.table_layout import Layout
from mnistlab.data.formats.tables import Table, record_of
from mnistlab.data.idx_format import LARGEST, BadFileError

MOST_HEADER = 2**24
ATTRIBUTE = re.compile(
    r"""@attribute\s+(?P<name>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)\s+(?P<type>.+)$""", re.IGNORECASE
)
INDEX = re.compile(rb"(?:^|\s)(\d{1,19}):")


def read_libsvm(path: Path, options: Options) -> Record:
    """Return the record of a file of lines ``label index:value ...``, in which zeros are left out.

    The columns of its images are the indices, from 0; see `number_pixels`.
    """
    from sklearn.datasets import load_svmlight_file

    data = content.read_all(path)
    rows = data.count(b"\n") + 1
    highest = 0
    for line in io.BytesIO(data):
        if len(line) > 2**22:
            raise BadFileError(f"{path.name} has a line of {len(line):,} bytes, too long for an image")
        if found := INDEX.findall(line[-40:]):
            highest = max(highest, int(found[-1]))
    if (highest + 1) * rows > LARGEST:
        raise BadFileError(
            f"{path.name} has the index {highest:,} in {rows:,} rows, more than the maximum of {LARGEST:,} pixels"
        )
    try:
        sparse, labels = load_svmlight_file(io.BytesIO(data), dtype=np.float32, zero_based=True)
        if sparse.shape[0] * sparse.shape[1] > LARGEST:  # an index in the middle of a line
            raise BadFileError(f"{path.name} has {sparse.shape[1]:,} pixels in {sparse.shape[0]:,} rows, too many")
        images, lowest = sparse.toarray(), int(sparse.indices.min()) if sparse.nnz else 1
    except (BadFileError, MemoryError):
        raise
    except Exception as error:  # scikit-learn's parser raises several kinds
        raise BadFileError(f"{path.name} is not a libsvm file ({error}); repair the line") from None
    digest = hashlib.sha256(data).hexdigest()
    return Record({"train": Part(images, labels)}, padded=True, lowest=lowest, files={path.name: digest})


def number_pixels(records: list[Record]) -> None:
    """Decide over all libsvm files of a dataset whether their indices count from 0 or from 1, and say it.

    A single file may lack index 0 only because that pixel is always zero in it.
    """
    sparse = [record for record in records if record.lowest is not None]
    if not sparse:
        return
    first = min(1, *(record.lowest or 0 for record in sparse))
    for record in sparse:
        for part in record.parts.values():
            part.images = part.images[:, min(first, part.images.shape[1] - 1) :]
    sparse[0].remarks.append(f"indices from {first}")


def read_arff(path: Path, options: Options) -> Record:
    """Return the record of an ARFF file: attributes that are pixels, and a nominal one, which is the class."""
    names, nominal, lines = _header(path)
    if any(line.lstrip().startswith("{") for line in lines):
        raise BadFileError(f"{path.name} is a sparse ARFF file; save it as libsvm or dense ARFF")
    rows = [table_layout.cells_of(line, ",", "'") for line in lines]
    layout = Layout(",", names, True, skipped_lines=nominal.pop("", [0])[0], sample=rows, quote="'")
    chosen = table_layout.chosen_column(options.label, layout) if options.label is not None else None
    if chosen is None:
        chosen = names.index(next(iter(nominal))) if len(nominal) == 1 else None
    if chosen is None:
        lower = [name.lower() for name in names]
        chosen = next((lower.index(word) for word in table_layout.LABEL_WORDS if word in lower), len(names) - 1)
    layout.label_at = chosen
    layout.pixels_at = np.array([i for i, name in enumerate(names) if i != chosen and name not in nominal], np.int64)
    layout.ignored = [name for i, name in enumerate(names) if i != chosen and name in nominal]
    try:
        record = record_of(path.name, Table(path, options, layout).read(), content.sha256(path))
    except EOFError:
        raise BadFileError(f"{path.name} is cut off; copy or download it again") from None
    values = nominal.get(names[chosen])
    if values and not all(table_layout.is_number(value) for value in values):
        record.class_names = tuple(values)
    return record


def _header(path: Path) -> tuple[list[str], dict[str, list], list[str]]:
    """Return the attributes, the values of the nominal ones (under "" the number of header lines), and some rows."""
    names: list[str] = []
    nominal: dict[str, list] = {}
    rows: list[str] = []
    read = count = 0
    in_data = False
    with content.Stream(path) as stream:
        reader = io.BufferedReader(stream)
        while (line := reader.readline(2**22)) and read < MOST_HEADER and len(rows) < table_layout.SAMPLE:
            read, text = read + len(line), line.decode("utf-8-sig", errors="replace").strip()
            count += not in_data
            if not text or text.startswith("%"):
                continue
            if in_data:
                rows.append(text)
            elif text.lower().startswith("@data"):
                in_data, nominal[""] = True, [count - 1]
            elif match := ATTRIBUTE.match(text):
                name = match["name"].strip("'\"")
                names.append(name)
                if match["type"].lstrip().startswith("{"):
                    inner = match["type"].strip().strip("{}")
                    nominal[name] = [value.strip("'\"") for value in table_layout.cells_of(inner, ",", "'")]
    if not in_data or not rows or len(names) < 2:
        raise BadFileError(f"{path.name} is an ARFF file without rows; it has {len(names)} attributes and no @data")
    if len(names) > table_layout.MOST_COLUMNS or len(set(names)) != len(names):
        raise BadFileError(f"{path.name} has {len(names):,} attributes, too many or two of one name")
    return names, nominal, rows
