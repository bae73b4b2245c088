"""``mnistlab data list | fetch | show | convert | audit``: list, download, show, convert and audit datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from mnistlab.cli import data_audit
from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import DIRECTORY, Choice, Positive, Whole, argument, command, json_option, option
from mnistlab.system import output
from mnistlab.system.errors import RequestError, did_you_mean

SHOW_GROUPS = ("data", "augment")  # the groups that matter to `show`


class Words(Overrides):
    """The name of a dataset for `fetch`, overrides for `show`, also a path for `convert`, nothing for `list`."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the datasets that can be downloaded, or completions of overrides."""
        action = ctx.params.get("action")
        if action == "fetch":
            return [CompletionItem(name) for name in downloadable() if name.startswith(incomplete)]
        if action == "audit":
            return Overrides(paths=True).shell_complete(ctx, param, incomplete)
        return super().shell_complete(ctx, param, incomplete) if action in ("show", "convert") else []


def list_datasets(words: Sequence[str], to: str | None) -> int:
    """Print a table of the datasets."""
    from mnistlab.data.sources.published import catalogue
    from mnistlab.reporting import tables

    if words or to is not None:
        raise RequestError(f"{words[0] if words else '--to'}: `mnistlab data list` takes no arguments except --json")
    datasets = catalogue()
    rows = []
    for row in datasets:
        size = f"{row['train']:,} + {row['test']:,}"
        where = (
            row["found"]
            or f"not downloaded; `mnistlab data fetch {row['name']}` downloads {_megabytes(row['download'])}"
        )
        rows.append((row["name"], size, str(row["classes"]), row["what"], where))
    table = tables.text((("data=", "training + test", "classes", "description", "location"), rows))
    own = "Your own files of any format: data=auto data.path=FILE or FOLDER"
    output.show({"datasets": datasets}, f"{table}\n\n{own}")
    return 0


def fetch_dataset(words: Sequence[str], to: str | None) -> int:
    """Download one dataset."""
    from mnistlab.data.sources.published import fetch
    from mnistlab.system import console

    names = downloadable()
    if len(words) != 1:
        request = " ".join(["data fetch", *words])
        raise RequestError(f"{request}: must be one dataset name; choose one of {', '.join(names)}")
    name = words[0]
    if name not in names:
        raise RequestError(f"data fetch {name}: choose one of {', '.join(names)}{did_you_mean(name, names)}")
    console.start("normal")
    try:
        folder = fetch(name, Path(to) if to else None)
    except RequestError as error:
        raise error.renamed(root="data.root") from None
    output.show({"name": name, "folder": folder}, f"{name} is in {folder}")
    return 0


def show_dataset(words: Sequence[str], to: str | None) -> int:
    """Print provenance and class balance, and draw the sample grid and the class distribution."""
    from mnistlab.analysis import dataset_summary
    from mnistlab.system import console

    console.start("normal")
    summary = dataset_summary.of(list(words), Path(to) if to else None)
    output.show({**summary.about, "pictures": summary.pictures}, summary.text())
    return 0


def convert_dataset(words: Sequence[str], to: str | None) -> int:
    """Write data of any format as an NPZ file."""
    from mnistlab.analysis import dataset_conversion
    from mnistlab.system import console

    if not words or to is None:
        raise RequestError("data convert: name the data and the file, as in `mnistlab data convert PATH --to my.npz`")
    console.start("normal")
    result = dataset_conversion.convert(words, Path(to))
    about = {"file": result.file, "rows": result.rows, "image_shape": result.image_shape, "classes": result.class_names}
    output.show(about, result.text())
    return 0


def downloadable() -> list[str]:
    """Return the names of the datasets that can be downloaded."""
    from mnistlab.data.sources.published import catalogue

    return [row["name"] for row in catalogue() if row["download"]]


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:,.0f} MB" if size else "it"


ACTIONS: dict[str, Callable[[Sequence[str], str | None], int]] = {
    "list": list_datasets,
    "fetch": fetch_dataset,
    "show": show_dataset,
    "convert": convert_dataset,
}


@command(
    "data",
    no_args_is_help=True,
    examples=(
        "mnistlab data list",
        "mnistlab data fetch mnist --to my_data",
        "mnistlab data show data=mnist augment=elastic",
        "mnistlab data show data=auto data.path=my_data",
        "mnistlab data convert my_data --to my.npz",
        "mnistlab data audit data=mnist model=mlp_1hidden --folds 5",
        "mnistlab data audit best:validation.accuracy",
    ),
)
@argument("action", metavar="list|fetch|show|convert|audit", type=Choice([*ACTIONS, "audit"]), help="What to do.")
@argument(
    "words",
    metavar="[NAME | PATH | RUN | data=NAME key=value ...]",
    nargs=-1,
    type=Words(SHOW_GROUPS),
    help="For fetch, the name of a dataset; for convert, a path; for audit, a run; for show, convert and audit, "
    "overrides as for train.",
)
@option("--to", metavar="FOLDER", type=DIRECTORY, help="The folder for fetch, show and audit, the file for convert.")
@option(
    "--folds",
    metavar="N",
    type=Whole(2),
    help="audit: the folds of the cross-validation.",
    show_default=str(data_audit.FOLDS),
)
@option(
    "--similarity",
    metavar="R",
    type=Positive(),
    help="audit: the correlation of two images from which they count as copies, up to 1.",
    show_default="0.98",
)
@json_option
def main(action: str, words: tuple[str, ...], to: str | None, folds: int | None, similarity: float | None) -> int:
    """List, download, show, convert or audit datasets.

    list: all named datasets, with their sizes and where each was found.

    fetch: download a dataset into the user's cache, or into FOLDER (then use data.root=FOLDER).

    show: print the provenance and class balance of a dataset and save pictures of sample images to
    outputs/data, or to FOLDER; with augment=elastic, for example, also pictures of the augmented images.

    convert: write data of any format as an NPZ file, the form that is read without assumptions.

    audit: rank the labels that are probably wrong (confident learning, on the probabilities of a cross-validation of
    all images, or of a run on its validation and test sets), find images that occur twice, and save both lists to
    outputs/audit, or to FOLDER.
    """
    if action == "audit":
        return data_audit.audit_dataset(words, to, folds, similarity)
    for name, value in (("folds", folds), ("similarity", similarity)):
        if value is not None:
            raise RequestError(f"--{name} {value:g}: this option is for audit")
    return ACTIONS[action](words, to)
