"""``mnistlab data list | fetch | show``: what data there is, getting it, and looking at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mnistlab.system import output
from mnistlab.system.errors import RequestError, did_you_mean

USAGE = """\
Usage: mnistlab data list [--json]
       mnistlab data fetch NAME [--to FOLDER] [--json]
       mnistlab data show [data=NAME ...] [key=value ...] [--to FOLDER] [--json]

  list    the datasets that have a name: images, classes, and where each was found
  fetch   download one into the user's cache, or into FOLDER (then use data.root=FOLDER)
  show    where it came from, the balance of its classes, and pictures (in outputs/data, or FOLDER); with
          augment=elastic for instance also of what training sees

  --json  one JSON object instead
"""


def main(arguments: list[str]) -> int:
    """Do what the first word says."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    if arguments[0] not in ACTIONS:
        raise RequestError(
            f"data {arguments[0]}: choose one of {', '.join(ACTIONS)}{did_you_mean(arguments[0], ACTIONS)}"
        )
    return ACTIONS[arguments[0]](arguments[1:])


def list_datasets(arguments: list[str]) -> int:
    """Print a table of the datasets."""
    from mnistlab.data.sources.published import catalogue
    from mnistlab.reporting import tables

    if arguments:
        raise RequestError(f"{arguments[0]}: `mnistlab data list` takes no arguments but --json")
    datasets = catalogue()
    rows = []
    for row in datasets:
        size = f"{row['train']:,} + {row['test']:,}"
        where = row["found"] or f"not here; `mnistlab data fetch {row['name']}` downloads {_megabytes(row['download'])}"
        rows.append((row["name"], size, str(row["classes"]), row["what"], where))
    table = tables.text((("data=", "training + test", "classes", "what", "where"), rows))
    own = "Own files: data=csv data.path=FILE, data=npz data.path=FILE, data=idx data.path=FOLDER, "
    own += "data=folder data.path=FOLDER"
    output.show({"datasets": datasets}, f"{table}\n\n{own}")
    return 0


def fetch_dataset(arguments: list[str]) -> int:
    """Download one dataset."""
    from mnistlab.data.sources.published import catalogue, fetch
    from mnistlab.system import console

    names, to = _folder_option(arguments)
    downloadable = [row["name"] for row in catalogue() if row["download"]]
    if len(names) != 1:
        raise RequestError(
            f"data fetch {' '.join(names)}: one name was expected; choose one of {', '.join(downloadable)}"
        )
    if names[0] not in downloadable:
        raise RequestError(
            f"data fetch {names[0]}: choose one of {', '.join(downloadable)}{did_you_mean(names[0], downloadable)}"
        )
    console.start("normal")
    try:
        folder = fetch(names[0], Path(to) if to else None)
    except RequestError as error:
        raise error.renamed(root="data.root") from None
    output.show({"name": names[0], "folder": folder}, f"{names[0]} is in {folder}")
    return 0


def show_dataset(arguments: list[str]) -> int:
    """Print provenance and class balance, and draw the sample grid and the class distribution."""
    from mnistlab.analysis import dataset_summary
    from mnistlab.system import console

    overrides, to = _folder_option(arguments)
    console.start("normal")
    shown = dataset_summary.of(overrides, Path(to) if to else None)
    output.show({**shown.about, "pictures": shown.pictures}, shown.text())
    return 0


ACTIONS: dict[str, Callable[[list[str]], int]] = {"list": list_datasets, "fetch": fetch_dataset, "show": show_dataset}


def _folder_option(arguments: list[str]) -> tuple[list[str], str | None]:
    rest, to = [], None
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--to" or argument.startswith("--to="):
            to = argument[5:] if argument.startswith("--to=") else next(remaining, "")
            if not to:
                raise RequestError("--to: a folder was expected")
        elif argument.startswith("-"):
            raise RequestError(f"{argument}: unknown option; see `mnistlab data --help`")
        else:
            rest.append(argument)
    return rest, to


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:,.0f} MB" if size else "it"
