"""Building blocks of the commands: `Command`, arguments and options with help, and the types of their values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click
from click.shell_completion import CompletionItem

from mnistlab.system import arguments, output
from mnistlab.system.errors import RequestError, did_you_mean

WORDS = "mnistlab.words"  # the key of the command line in a context's ``meta``
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


class Command(click.Command):
    """A click command that handles ``--json``, refuses repeated options, and ends its help with examples."""

    def __init__(self, *declarations: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        settings["context_settings"] = {**SETTINGS, **settings.get("context_settings", {})}
        super().__init__(*declarations, **settings)
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments and return the rest. Without any, a command that needs some prints its help, status 2."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        if self.no_args_is_help and not args:
            click.echo(ctx.get_help())
            ctx.exit(2)
        ctx.meta[WORDS] = [word for word in args if word != output.FLAG]
        try:
            _, _, order = self.make_parser(ctx).parse_args(list(args))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # the parser leaves it out where an option has no value
            raise
        for parameter in order:
            once = isinstance(parameter, Option) and not parameter.is_flag and not parameter.multiple
            if once and order.count(parameter) > 1:
                raise RequestError(f"{name_of(parameter)}: this option is given twice; give it once")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> int:
        """Run the command, with its result as JSON if requested; return the exit status."""
        as_json = ctx.params.pop("as_json", False)
        if not as_json or {*SETTINGS["help_option_names"]} & {*ctx.meta[WORDS]}:
            return super().invoke(ctx) or 0
        with output.one_document():
            return super().invoke(ctx) or 0

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the arguments, and after them ``[options]``."""
        return [*(piece for each in self.params for piece in each.get_usage_pieces(ctx)), "[options]"]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the usage, description, arguments, options and examples."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        parameters = self.get_params(ctx)
        for title, kind in (("Arguments", click.Argument), ("Options", click.Option)):
            records = [each.get_help_record(ctx) for each in parameters if isinstance(each, kind)]
            if not records:
                continue
            with formatter.section(title):
                formatter.write_dl([record for record in records if record])
        self.format_examples(formatter)

    def format_examples(self, formatter: click.HelpFormatter) -> None:
        """Write the examples, one per line."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"  {line}\n")


class Argument(click.Argument):
    """An argument with a help text; the usage line contains its metavar."""

    def __init__(self, *declared: Any, help: str = "", **settings: Any) -> None:  # noqa: A002
        super().__init__(*declared, **settings)
        self.help = help

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the metavar, with ``[NAME ...]`` where more than one is allowed."""
        name = self.human_readable_name
        return [f"{name} [{name} ...]" if self.required and self.nargs == -1 else name]

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the metavar and the help text."""
        return self.human_readable_name, self.help or ""


class Option(click.Option):
    """An option whose value must not be missing, empty or another option."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names and the help text; a default described in words has no parentheses."""
        record = super().get_help_record(ctx)
        if record is None or not isinstance(self.show_default, str):
            return record
        return record[0], record[1].replace(f"[default: ({self.show_default})]", f"[default: {self.show_default}]")

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the converted value."""
        if not self.is_flag and isinstance(value, str) and (not value or value.startswith("--")):
            raise click.BadOptionUsage(name_of(self), f"Option {name_of(self)!r} requires an argument.", ctx)
        return super().type_cast_value(ctx, value)


class Choice(click.Choice):
    """One of several names; an error lists them all, and ends with ``note``."""

    def __init__(self, names: Sequence[str], note: str = "") -> None:
        super().__init__(list(names))
        self.note = note

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value if it is one of the names."""
        names = [str(name) for name in self.choices]
        if value not in names:
            near = did_you_mean(value, names)
            raise RequestError(f"{setting(param, value)}: choose one of {', '.join(names)}{near}{self.note}")
        return str(value)


class Whole(click.ParamType):
    """A whole number from ``least`` to ``most``, or without an upper limit."""

    name = "n"

    def __init__(self, least: int = 1, most: int | None = None) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        text = str(value)
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
        if number < self.least or (self.most is not None and number > self.most):
            limits = f"of {self.least} or more" if self.most is None else f"from {self.least} to {self.most:,}"
            raise RequestError(f"{setting(param, value)}: must be a whole number {limits}")
        return number


class Positive(click.ParamType):
    """A number above 0."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            raise RequestError(f"{setting(param, value)}: must be a number above 0")
        return number


class Parsed(click.ParamType):
    """A value that ``parse(option, text)`` returns."""

    name = "text"

    def __init__(self, parse: Callable[[str, str], Any]) -> None:
        self.parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value; a default that is not text is returned unchanged."""
        return self.parse(name_of(param), value) if isinstance(value, str) else value


class Place(click.ParamType):
    """A path as text, completed by the shell as a ``file`` or ``dir``; the command checks what is there."""

    name = "path"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete the path."""
        return [CompletionItem(incomplete, type=self.kind)]


class RunPlace(Place):
    """The path of a run, or a word that selects one: ``last``, ``best:METRIC``, or filters."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the path; one that does not exist is left to the command, unless it is such a word."""
        if arguments.exists(value):
            return str(value)
        from mnistlab.runs import selection

        return selection.one(str(value))


RUN = RunPlace("file")  # a directory, or the model file in it
RUN_DIRECTORY = RunPlace("dir")
FILE = Place("file")
DIRECTORY = Place("dir")


def name_of(parameter: click.Parameter | None) -> str:
    """Return the long name of an option."""
    return max(parameter.opts, key=len) if parameter else ""


def setting(parameter: click.Parameter | None, value: Any) -> str:
    """Return the setting as on the command line: ``--option VALUE``, or the value of an argument."""
    return f"{name_of(parameter)} {value}" if isinstance(parameter, click.Option) else str(value)


def command(name: str, *, examples: Sequence[str], **settings: Any) -> Callable[[Callable[..., int]], Command]:
    """Return a decorator that turns a function into a command, with its docstring as the help."""
    return click.command(name, cls=Command, examples=examples, **settings)


def command_line() -> list[str]:
    """Return the command line, without ``--json``."""
    context = click.get_current_context()
    return ["mnistlab", str(context.info_name), *context.meta[WORDS]]


argument = partial(click.argument, cls=Argument)
option = partial(click.option, cls=Option)
json_option = option(
    output.FLAG,
    "as_json",
    is_flag=True,
    help="Print the result as one JSON object; everything else goes to standard error.",
)
detach_option = option(
    "--detach",
    is_flag=True,
    help="Submit the jobs of a sweep to the queue of the cluster and end; `mnistlab resume SWEEP` collects them.",
)
quiet_option = option("-q", "--quiet", is_flag=True, help="Print the result only.")


def verbosity_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add -q and -v, whose value is ``verbosity``: quiet, verbose or None."""
    loud = option("-v", "--verbose", "verbosity", flag_value="verbose", help="Also print which files are written.")
    return option("-q", "--quiet", "verbosity", flag_value="quiet", help="Print the result only.")(loud(function))
