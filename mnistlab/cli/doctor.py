"""``mnistlab doctor``: what went wrong in a run, and what to try."""

from __future__ import annotations

from dataclasses import asdict

from mnistlab.cli.parameters import RUN, argument, command, json_option
from mnistlab.system import output


@command("doctor", no_args_is_help=True, examples=("mnistlab doctor outputs/2026-11-21/09-30-12_mlp_2hidden",))
@argument("run", metavar="RUN", type=RUN, help="A run directory, or the model.safetensors in it.")
@json_option
def main(run: str) -> int:
    """Diagnose a run: what went wrong, and which overrides to try.

    Reads what a run has saved (history, norms, weights, class counts and, if its data can be found, up to 512
    of its training images) and looks for divergence, a learning rate that is too high or too low, overfitting,
    underfitting, dead or saturated units, vanishing gradients and class imbalance. Each problem comes with the
    measurement behind it, the likely reason, and overrides to try. The test set is not used. Failed and
    interrupted runs can be examined too. The exit status is 0 whatever is found.
    """
    from mnistlab.analysis.doctor import snapshot
    from mnistlab.analysis.doctor.checks import examine
    from mnistlab.system import console

    console.start("quiet")
    chart = snapshot.read(run)
    findings = examine(chart)
    rows = [{key.rstrip("_"): value for key, value in asdict(one).items()} for one in findings]
    about = {"run": run, "state": chart.state, "epochs": len(chart.history)}
    lines: list[str] = []
    for one in findings:
        lines += [f"{one.severity}: {one.sign}", f"  {one.what}", f"  why  {one.why}"]
        lines += [f"  try  {one.try_[0]}", *(f"  or   {other}" for other in one.try_[1:]), ""]
    if not findings:
        epochs = f"{len(chart.history)} epochs, " if chart.history else ""
        images = f"{len(chart.images)} training images" if chart.images is not None else "no images"
        lines.append(f"No problems found ({epochs}{images} examined)")
    lines += [f"not examined: {what}" for what in chart.unseen]
    output.show({**about, "findings": rows, "not_seen": chart.unseen}, "\n".join(lines).rstrip())
    return 0
