"""``mnistlab plugins``: what installed packages and imported files add."""

from __future__ import annotations

from dataclasses import asdict

from mnistlab.cli.parameters import command, json_option
from mnistlab.system import output


@command("plugins", examples=("mnistlab plugins", "mnistlab plugins --json"))
@json_option
def main() -> int:
    """List the plug-ins: layers, optimizers and more of installed packages.

    A package adds classes by entry points in the groups mnistlab.layers, .activations, .optimizers, .schedules,
    .initializers, .augmentations, .datasets and .metrics. --import FILE.py, which every command accepts, adds those
    that a file defines.
    """
    from mnistlab.config import plugins
    from mnistlab.reporting import tables

    found = sorted(plugins.loaded(), key=lambda plugin: (plugin.kind, plugin.name))
    rows = [[plugin.kind, plugin.name, plugin.package, plugin.version] for plugin in found]
    text = tables.text((["kind", "name", "package or file", "version"], rows)) if rows else "no plug-ins are installed"
    output.show({"plugins": [asdict(plugin) for plugin in found]}, text)
    return 0
