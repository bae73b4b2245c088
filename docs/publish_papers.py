"""Take what `mnistlab reproduce` made into the project: the page, its table and pictures, and the experiments' headers.

Usage: python docs/publish_papers.py FOLDER

FOLDER is what `reproduce` wrote into, outputs/papers/full. docs/papers.md, docs/papers.csv and docs/images/papers
become what lies there, and the line "Expected:" of every conf/experiment/<paper>/<row>.yaml what the table says of
that row.
"""

from __future__ import annotations

import csv
import io
import math
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from mnistlab.config import options
from mnistlab.papers import reading, runner
from mnistlab.papers.metrics import amount
from mnistlab.papers.spec import Row

DOCS = Path(__file__).resolve().parent
PICTURES = Path("images", "papers")
LARGEST = 60_000  # bytes of a picture, which is kept with 256 colours, and smaller where that is not enough
WIDTH = 118
NAMES = {
    "train.accuracy": "training accuracy",
    "validation.accuracy": "validation accuracy",
    "test.accuracy": "test accuracy",
    "test.macro.f1": "macro F1",
    "test.loss": "test loss",
    "train.one_hot_auc": "training AUC (one-hot)",
    "test.one_hot_auc": "test AUC (one-hot)",
    "test.roc_auc.macro": "test AUC",
}


def publish(source: Path, docs: Path = DOCS, experiments: Path | None = None) -> None:
    """Copy page, table and pictures from ``source`` to ``docs``, and write the headers."""
    shutil.copy(source / "papers.md", docs / "papers.md")
    shutil.copy(source / "papers.csv", docs / "papers.csv")
    shutil.rmtree(docs / PICTURES, ignore_errors=True)
    (docs / PICTURES).mkdir(parents=True)
    for link in re.findall(r"\]\((images/papers/[^)\s]+)\)", (source / "papers.md").read_text()):
        _copy(source / link, docs / link)
    for path, text in headers(docs / "papers.csv", experiments or options.folder() / "experiment").items():
        path.write_text(text)


def _copy(picture: Path, to: Path) -> None:
    if picture.suffix != ".png":
        shutil.copy(picture, to)
        return
    from PIL import Image

    with Image.open(picture) as image:
        for width in (image.width, 1200, 900):
            small = image.convert("RGB").resize((width, image.height * width // image.width))
            data = io.BytesIO()
            small.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(data, "png", optimize=True)
            if data.tell() <= LARGEST:
                break
    to.write_bytes(data.getvalue())


def headers(table: Path, experiments: Path) -> dict[Path, str]:
    """Return the text of every row's experiment, with its line "Expected:" as the table has it."""
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    found = {}
    for row in reading.read().rows.values():
        if row.kind == "train":
            path = experiments / f"{row.id}.yaml"
            mine = [
                line for line in lines if (line["paper"], line["row"], line["settings"]) == (row.paper, row.name, "")
            ]
            found[path] = _with_header(path.read_text(), expected(row, mine))
    return found


def expected(row: Row, lines: Sequence[Mapping[str, str]]) -> str:
    """Return what is to be expected of a row, and how long a run takes."""
    runs = int(lines[0]["runs"])
    swept = math.prod(runner.grid(row).values())
    seconds = 60 * row.minutes / max(1, row.seeds["full"]) / swept
    time = f"about {f'{seconds:.0f} s' if seconds < 90 else f'{seconds / 60:.0f} min'} per run on one core."
    if not runs:
        return f"not run yet; {time}"
    if swept > 1:
        return f"{runs} runs, see docs/papers.md; {time}"
    scores = ", ".join(_score(line) for line in lines if line["metric"] != "parameters")
    full, epochs = runner.experiment_epochs(row), lines[0]["epochs"]
    cut = f", cut short: {epochs} of {full} epochs" if full and epochs and epochs != str(full) else ""
    return f"{scores} ({runs} seed{'s' if runs > 1 else ''}{cut}); {time}"


def _score(line: Mapping[str, str]) -> str:
    metric, unit = line["metric"], " %" if line["metric"].endswith(("accuracy", "f1")) else ""
    half = f" +/- {amount(metric, float(line['half']))}" if line["half"] else ""
    return f"{NAMES[metric]} {amount(metric, float(line['mean']))}{half}{unit}"


def _with_header(text: str, said: str) -> str:
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("# Expected:"))
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("#"))
    wrapped = textwrap.wrap(f"Expected: {said}", WIDTH - 2, break_on_hyphens=False, break_long_words=False)
    return "\n".join([*lines[:start], *(f"# {line}" for line in wrapped), *lines[end:]]) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1], "papers.csv").is_file():
        raise SystemExit(f"publish_papers: a folder with papers.csv was expected; {(__doc__ or '').splitlines()[2]}")
    import reference

    publish(Path(sys.argv[1]))
    reference.write()  # it has the headers
