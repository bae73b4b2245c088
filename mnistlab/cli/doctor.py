"""``mnistlab doctor``: what went wrong in a run, in words."""

from __future__ import annotations

from dataclasses import asdict

from mnistlab.cli import arguments as arguments_of
from mnistlab.system import output
from mnistlab.system.errors import RequestError

USAGE = """\
Usage: mnistlab doctor RUN [--json]

  Reads what a run left (history, norms, weights, class counts; and, if its data is there, up to 512 of its training
  images) and says what went wrong or is odd: divergence, a learning rate too high or too low, overfitting and
  underfitting, dead units, saturation, vanishing gradients, imbalance; each with the number, why it matters, and
  overrides to try. The test part is not looked at again. Failed and interrupted runs can be examined too.

  RUN      a run directory, or the model.safetensors in it
  --json   one JSON object instead
"""


def main(arguments: list[str]) -> int:
    """Examine as the arguments say; return the exit status, 0 whatever is found."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    words, _, _ = arguments_of.split("doctor", arguments, ())
    if len(words) != 1:
        named = f"{words[1]}: one run is examined at a time" if words else "no run is named"
        raise RequestError(f"{named}; a run directory was expected, such as outputs/<date>/<time>_<model>")
    from mnistlab.analysis.doctor import snapshot as charts
    from mnistlab.analysis.doctor.checks import examine
    from mnistlab.system import console

    console.start("quiet")
    chart = charts.read(words[0])
    found = examine(chart)
    rows = [{key.rstrip("_"): value for key, value in asdict(one).items()} for one in found]
    about = {"run": words[0], "state": chart.state, "epochs": len(chart.history)}
    lines: list[str] = []
    for one in found:
        lines += [f"{one.severity}: {one.sign}", f"  {one.what}", f"  why  {one.why}"]
        lines += [f"  try  {one.try_[0]}", *(f"  or   {other}" for other in one.try_[1:]), ""]
    if not found:
        epochs = f"{len(chart.history)} epochs, " if chart.history else ""
        images = f"{len(chart.images)} training images" if chart.images is not None else "no images"
        lines.append(f"No problems found ({epochs}{images} examined)")
    lines += [f"not seen: {what}" for what in chart.unseen]
    output.show({**about, "findings": rows, "not_seen": chart.unseen}, "\n".join(lines).rstrip())
    return 0
