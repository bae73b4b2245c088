"""``mnistlab train``: one run, or with -m a sweep, of the configuration that Hydra composes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import (
    DIRECTORY,
    FILE,
    Choice,
    Option,
    argument,
    command,
    detach_option,
    json_option,
    option,
)
from mnistlab.cli.sweep_options import first_of, request_of, sweep_options
from mnistlab.system import output
from mnistlab.system.errors import RequestError, fail, wants_traceback

KEYS = """
== Groups: group=option ==

${groups:${hydra.runtime.config_sources}}

== Configuration: key=value, for the chosen options (add schedule=step to list the keys of step) ==

$CONFIG"""
HYDRA_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("-m", "--multirun"), {"help": "Start a sweep: one run for each combination of values."}),
    (("-q", "--quiet"), {"help": "Print the result only."}),
    (("-v", "--verbose"), {"help": "Also print which files are found and written."}),
    (("-c", "--cfg"), {"type": Choice(("job", "hydra", "all")), "help": "Print the composed configuration."}),
    (("--resolve",), {"help": "With --cfg: resolve interpolations."}),
    (("-p", "--package"), {"metavar": "KEY", "help": "With --cfg: print this part only."}),
    (("-cd", "--config-dir"), {"metavar": "DIR", "type": DIRECTORY, "help": "Also look for options in this folder."}),
    (("-i", "--info"), {"metavar": "[WHAT]", "help": "Print information from Hydra: all, defaults, searchpath, ..."}),
    (("--hydra-help",), {"help": "Print all of Hydra's flags, including those not listed here."}),
    (("-h", "--help"), {"help": "Show this message, the groups with their options, and the keys, and exit."}),
    (("--version",), {"hidden": True}),
    (("-r", "--run"), {"hidden": True}),
    (("-sc", "--shell-completion"), {"hidden": True}),
    (("-cp", "--config-path"), {"hidden": True, "metavar": "DIR", "type": DIRECTORY}),
    (("-cn", "--config-name"), {"hidden": True, "metavar": "NAME"}),
    (("--experimental-rerun",), {"hidden": True, "metavar": "FILE"}),
)


class HydraOption(Option):
    """An option left in place among the overrides for Hydra, but included in help, suggestions and completion."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Leave the option to Hydra's parser."""


def hydra_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add Hydra's options, and those that stand for an override."""
    for names, settings in reversed(HYDRA_OPTIONS):
        flag = {} if {"metavar", "type"} & {*settings} else {"is_flag": True}
        function = option(*names, cls=HydraOption, expose_value=False, **flag, **settings)(function)
    return function


@command(
    "train",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    examples=(
        "mnistlab train",
        "mnistlab train data=mnist model=mlp_1hidden model.units=75 optimizer=sgd optimizer.lr=0.9 seed=3",
        "mnistlab train data=mnist regularization=[l2,dropout] trainer.epochs=20 schedule=cosine",
        "mnistlab train data=mnist augment=elastic trainer.epochs=30 schedule=one_cycle",
        "mnistlab train experiment=smoke --quiet",
        "mnistlab train -m init=random,kaiming seed=0,1,2 --fail-fast",
        "mnistlab train -m init=random,kaiming,xavier --until-decided --margin 0.2",
        "mnistlab train -m optimizer.lr=0.001,0.01,0.1 model.units=32,64,128 trainer.epochs=27 --halving",
    ),
)
@argument(
    "words",
    metavar="[FILE.yaml] [group=option ...] [key=value ...]",
    nargs=-1,
    type=Overrides(),
    help="The configuration: group=option chooses an option of a group, key=value sets a key. FILE.yaml: a file with "
    "such settings, which those of the command line override.",
)
@option(
    "--config",
    metavar="FILE",
    type=FILE,
    help="A YAML file with settings (model: lenet5, optimizer.lr: 0.01). FILE may also be given as an argument.",
)
@option("--fail-fast", is_flag=True, help="Stop a sweep at the first job that fails.")
@option("--dry-run", is_flag=True, help="Do not start the sweep; print what it would cost, as `mnistlab plan` does.")
@detach_option
@sweep_options
@json_option
@hydra_options
def main(
    words: tuple[str, ...], config: str | None, fail_fast: bool, dry_run: bool, detach: bool, **of_sweep: Any
) -> int:
    """Train one model, or several in a sweep with -m.

    All results of a run are written to its run directory: metrics, tables, plots, a report, and the model.
    """
    return start(words, config, of_sweep, fail_fast, dry_run, detach)


def start(
    words: tuple[str, ...],
    config: str | None,
    of_sweep: dict[str, Any],
    fail_fast: bool = False,
    dry_run: bool = False,
    detach: bool = False,
    plans: bool = False,
) -> int:
    """Carry out a command line of `train`, or with ``plans`` of `plan`; return the exit status."""
    _refuse_unknown_options(words)
    request = request_of(**of_sweep)
    if request and detach and (request.until_decided or request.halving):
        raise RequestError(f"--detach: conflicts with {first_of(request)}, which waits for results before it adds jobs")

    from mnistlab.config import compose, experiment_errors, overrides_file, plugins

    file, typed = overrides_file.split(words, config)
    words = (*(file.words if file else ()), *typed)
    overrides = compose.flags_first(compose.with_paths_quoted([_verbosity(word) for word in words]))
    flags = compose.parse_flags(overrides)
    if flags.config_dir:
        plugins.import_listed(Path(flags.config_dir))
    try:
        if plans or dry_run:
            if dry_run and not (flags.multirun or _requests_sweep(flags.overrides, flags.config_dir)):
                raise RequestError("--dry-run: this option is for sweeps; use it with -m, or `mnistlab plan`")
            return _plan(flags.overrides, flags.config_dir, request)
        return _carry_out(overrides, flags, fail_fast, detach, request)
    except RequestError as error:
        message = experiment_errors.located(str(error), flags.overrides, flags.config_dir)
        message = file.located(message, typed) if file else message
        if message == str(error):
            raise
        raise RequestError(message) from None


def _carry_out(overrides: list[str], flags: Any, fail_fast: bool, detach: bool, request: Any) -> int:
    """Run what the command line asks for: a run, a sweep, or what a flag prints; return the exit status."""
    from mnistlab.config import compose

    shows = flags.cfg or flags.help or flags.hydra_help or flags.info or flags.shell_completion
    if shows and output.is_json():
        raise RequestError("--json: this option is for results, and a configuration is printed as YAML; leave it out")
    if flags.help:
        overrides.append(f"hydra.help.template={compose.quoted(_page())}")
    _refuse_used_directory(flags.overrides)
    compose.register(claiming=not shows)
    is_sweep = flags.multirun or _requests_sweep(flags.overrides, flags.config_dir)
    if not shows:
        _refuse_the_other_directory(flags.overrides, is_sweep)
    if not shows and is_sweep:
        from mnistlab.sweeps import runner

        return runner.train(flags.overrides, flags.config_dir, fail_fast, request, detach=detach)
    if fail_fast:
        raise RequestError("--fail-fast: a single run has no other jobs to stop; use it with -m")
    if detach:
        raise RequestError("--detach: a single run is not submitted; use it with -m and hydra/launcher=submitit_slurm")
    if request:
        name = first_of(request)
        reason = "has nothing to compare" if request.until_decided else "has one point"
        raise RequestError(f"{name}: a single run {reason}; use it with -m and several settings")
    return _run(overrides, flags)


def _run(overrides: Sequence[str], flags: Any) -> int:
    """Let Hydra compose and run one run, or print what a flag asks for; return the exit status."""
    import hydra

    from mnistlab.config import errors, options
    from mnistlab.config.hydra_guard import Hydra
    from mnistlab.runs import lifecycle, record
    from mnistlab.system import files

    outcomes: list[lifecycle.Outcome] = []

    def task(cfg: Any) -> None:
        outcomes.append(lifecycle.task(cfg))

    sys.argv = ["mnistlab", *overrides]
    # Hydra would compose everything once more only to see whether a file sets hydra.mode; that is already settled
    Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]
    if flags.help:  # Hydra would spend seconds listing all options for its own page; our page has them already
        Hydra.format_config_groups = lambda *_, **__: ""  # type: ignore[method-assign]
    try:
        hydra.main(version_base="1.3", config_path=str(options.folder()), config_name="config")(task)()
    except BrokenPipeError:  # --help into a pipe whose reader has closed it
        raise
    except Exception as error:
        if wants_traceback():
            raise
        raise RequestError(errors.one_line(error, flags.overrides)) from None
    failed = [outcome for outcome in outcomes if outcome.status]
    for outcome in failed:
        note = f" (the files written so far are in {outcome.directory})" if outcome.directory else ""
        fail("mnistlab train", outcome.message + note)
    for outcome in outcomes:
        if outcome.directory and not outcome.status:
            output.give(record.as_json(record.read(outcome.directory), files.shown(outcome.directory)))
    return failed[0].status if failed else 0


def _page() -> str:
    """Return the help as a Hydra template, into which Hydra inserts groups, options and keys."""
    return click.get_current_context().get_help().replace("$", "$$") + "\n" + KEYS


def _refuse_unknown_options(words: Sequence[str]) -> None:
    context = click.get_current_context()
    names = {name for each in context.command.params for name in each.opts}
    for word in words:
        name = word.partition("=")[0]
        if name.startswith("-") and name not in names:
            from mnistlab.config.errors import with_group

            if keys := with_group(name.lstrip("-").replace("-", "_"), words):
                raise RequestError(f"{name}: no such option; a setting is key=value (did you mean {keys[0]}=...?)")
            raise click.NoSuchOption(name, ctx=context)


def _verbosity(argument: str) -> str:
    if argument in ("-q", "--quiet"):
        return "report.console=quiet"
    if argument in ("-v", "--verbose"):
        return "report.console=verbose"
    return argument


def _refuse_used_directory(arguments: Sequence[str]) -> None:
    from mnistlab.runs import paths
    from mnistlab.system import directories

    for word in arguments:
        key, _, value = word.partition("=")
        value = value.strip("'\"")
        if key.lstrip("+") != "hydra.run.dir":
            continue
        if value in ("", "."):
            raise RequestError(f"{word}: must be a directory of its own, for example hydra.run.dir=outputs/first")
        for name, what in ((paths.STATUS, "run"), (paths.SWEEP, "sweep")):
            if (Path(value) / name).exists():
                raise RequestError(f"{word}: already contains a {what}; choose another directory, or remove this one")
        if not Path(value).exists():  # Hydra creates it; it is removed again if the request turns out to be invalid
            directories.remember(Path(value))


def _refuse_the_other_directory(overrides: Sequence[str], is_sweep: bool) -> None:
    """Refuse the key of the directory of a sweep in a run, and the other way round, which Hydra would ignore."""
    for word in overrides:
        key, equals, value = word.partition("=")
        name = key.lstrip("+")
        if is_sweep and name == "hydra.run.dir":
            raise RequestError(f"{word}: the directory of a sweep is hydra.sweep.dir{equals}{value}")
        if not is_sweep and name in ("hydra.sweep.dir", "hydra.sweep.subdir"):
            cure = f"the directory of a run is hydra.run.dir={value}" if name.endswith(".dir") else "leave it out"
            raise RequestError(f"{word}: is for sweeps; {cure}, and -m starts a sweep")


def _plan(overrides: Sequence[str], config_dir: str | None, request: Any) -> int:
    """Print what a sweep would cost; return the exit status."""
    from mnistlab.cli.plan import table
    from mnistlab.config import compose
    from mnistlab.sweeps import design
    from mnistlab.sweeps.request import Request

    _refuse_the_other_directory(overrides, is_sweep=True)
    compose.register()
    expected = design.forecast_of(overrides, config_dir, request or Request())
    output.show(expected.as_json(), table(expected))
    return 0


def _requests_sweep(overrides: Sequence[str], config_dir: str | None) -> bool:
    """Return whether an override, or the YAML of an experiment, requests a sweep without -m."""
    if "hydra.mode=MULTIRUN" in overrides:
        return True
    from mnistlab.config import options, safe_yaml

    names = options.experiments(overrides)
    files = options.experiment_files(names[-1], config_dir) if names else []
    text = safe_yaml.read(files[0]) if files else ""
    return re.search(r"^\s*mode:\s*MULTIRUN", text, re.MULTILINE) is not None
