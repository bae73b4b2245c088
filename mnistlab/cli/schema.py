"""``mnistlab schema``: JSON Schema of the configuration, for editors."""

from __future__ import annotations

import json
from pathlib import Path

from mnistlab.cli.parameters import DIRECTORY, command, json_option, option
from mnistlab.system import output


@command("schema", examples=("mnistlab schema --to .vscode",))
@option("--to", metavar="DIR", type=DIRECTORY, default=".", help="The directory to write to.")
@json_option
def main(to: str) -> int:
    """Write JSON Schemas of the configuration, with which editors complete and check YAML files.

    settings.schema.json is for the files of `mnistlab train FILE.yaml`, experiment.schema.json for those in the folder
    experiment of --config-dir. A file names its schema in its first line: # yaml-language-server: $schema=PATH. The
    options of installed plug-ins are included.
    """
    from mnistlab.config import json_schema
    from mnistlab.system import directories, files

    folder = directories.named(Path(to), f"--to {to}", in_the_way=directories.IN_THE_WAY)
    written = []
    for name, schema in json_schema.schemas().items():
        files.write(folder / name, json.dumps(schema, indent=1) + "\n")
        written.append(files.shown((folder / name).absolute()))
    output.show({"files": written}, "\n".join(map(str, written)))
    return 0
