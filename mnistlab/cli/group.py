"""``mnistlab``: the command group. A command's module is imported only when the command is called."""

from __future__ import annotations

from importlib import import_module

import click

from mnistlab import __version__
from mnistlab.cli.parameters import SETTINGS
from mnistlab.system.errors import RequestError, did_you_mean

SECTIONS = {  # the first sentence of each command's help, repeated so that no command is imported for this page
    "Train and sweep": {
        "train": "Train one model, or several in a sweep with -m.",
        "plan": "Show the jobs of a sweep, with the time, memory and files that they need.",
        "resume": "Resume a run, or the unfinished jobs of a sweep.",
        "rerun": "Repeat a run or a sweep and check that the results are identical.",
        "tune": "Search for hyperparameters, then test the best ones with several seeds.",
        "gridsearch": "Cross-validate every combination in a grid, then test the best one.",
    },
    "Compare and report": {
        "runs": "List the runs in outputs/, newest first, or those that match all filters.",
        "compare": "Compare runs and sweeps: means, intervals, and which differences are significant.",
        "board": "Serve a page over all runs: table, curves with verdicts, sweeps, the images behind a number.",
        "report": "Redraw the plots and the report page of runs and sweeps.",
        "claims": "Check the figures and claims of a report against its runs.",
        "reproduce": "Repeat the experiments of five papers and check the reported figures and claims.",
    },
    "Inspect and diagnose": {
        "explain": "Show a network's layers, parameters, operations and memory.",
        "gradcheck": "Check the gradients of a network against central differences.",
        "lr-find": "Suggest a learning rate with a range test.",
        "doctor": "Diagnose a run: what went wrong, and which overrides to try.",
        "explore": "Show the principal components of a dataset, or the decision boundaries of models.",
    },
    "Use a model": {
        "evaluate": "Evaluate saved models, alone or as an ensemble, on their own or other data.",
        "predict": "Classify photographs and scans with a saved model.",
        "serve": "Serve a local page where you draw a digit and see how the network responds.",
        "export": "Export a saved model: ONNX, NPZ, safetensors, or plain NumPy code.",
    },
    "Data": {"data": "List, download, show, convert or audit datasets."},
    "Set up": {
        "plugins": "List the plug-ins: layers, optimizers and more of installed packages.",
        "schema": "Write JSON Schemas of the configuration, with which editors complete and check YAML files.",
        "kernels": "Show which kernels are compiled, for which processor, and where they are stored.",
        "completion": "Print the shell completion script.",
    },
}
COMMANDS = tuple(name for section in SECTIONS.values() for name in section)
RUNNING = (
    "train",
    "plan",
    "resume",
    "rerun",
    "tune",
    "gridsearch",
    "claims",
    "reproduce",
)  # the commands that run Hydra


class Group(click.Group):
    """A group that imports a command only when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, so that no command waits for the libraries of another."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"mnistlab.cli.{cmd_name.replace('-', '_')}").main
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command's name, the command, and the arguments after it."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = did_you_mean(args[0], COMMANDS)
            raise RequestError(f"{args[0]}: no such command; choose one of {', '.join(COMMANDS)}{near}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, section by section."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()), col_spacing=3)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[click.shell_completion.CompletionItem]:
        """Return the commands that begin with ``incomplete``, without importing any, or the options."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        described = [pair for commands in SECTIONS.values() for pair in commands.items()]
        return [
            click.shell_completion.CompletionItem(name, help=text)
            for name, text in described
            if name.startswith(incomplete)
        ]


@click.command(
    "mnistlab", cls=Group, subcommand_metavar="COMMAND ...", options_metavar="", context_settings=SETTINGS,
    epilog="\b\nExamples:\n  mnistlab train\n  mnistlab train data=mnist model=mlp_1hidden model.units=75 optimizer=sgd"
    "\n  mnistlab train --help",
)  # fmt: skip
@click.version_option(__version__, message="%(prog)s %(version)s", help="Show the version and exit.")
def root() -> None:
    """Run classic neural-network experiments on MNIST-like images.

    For help with a command, use `mnistlab COMMAND --help`. All commands except serve, board and completion accept
    --json, which prints the result as one JSON object on standard output and everything else on standard error. All
    commands accept --import FILE.py, which adds the layers, optimizers, ... that the file defines.
    """
