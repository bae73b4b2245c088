"""What to bear in mind with a comparison: runs left out, single runs, selection on the test set, other data."""

from __future__ import annotations

from collections.abc import Sequence

from mnistlab.analysis.verdicts import Verdict
from mnistlab.runs.record import Group, Record, grouped
from mnistlab.statistics import policy
from mnistlab.system.flatten import as_text


def cautions(
    groups: Sequence[Group], metric: str, verdicts: Sequence[Verdict], seeds: Sequence[int] | None, family: int
) -> list[str]:
    """Return the warnings of a comparison; ``family`` is the number of pairs if not all of them have a verdict."""
    warnings = []
    unused = sum(policy.count(group.values(metric)) - len(seeds) for group in groups) if seeds else 0
    if unused:
        warnings.append(
            f"the table shows the {len(seeds or ())} seeds that all groups have; {unused} other "
            f"run{'s do' if unused > 1 else ' does'} not count there"
        )
    if any(v.difference and v.difference.test == "McNemar" for v in verdicts):
        ordered = "" if metric.startswith("test.") else f", while the table is ordered by {metric}"
        warnings.append(
            f"single runs are compared by their test predictions{ordered}; to compare settings, run at least "
            f"{policy.FEWEST} seeds, seed='range({policy.FEWEST})'"
        )
    if repeats := sum(group.repeats for group in groups):
        runs = sum(len(group.records) for group in groups)
        are = "is" if repeats == 1 else "are"
        warnings.append(f"{repeats} of {runs} runs {are} given twice, by settings and seed; each counts once")
    if metric.startswith("test.") and len(groups) > 1:
        warnings.append(
            f"the table is ordered by {metric}; choosing its first row means selecting on the test set; select by "
            "validation.accuracy, and report the test accuracy of the selected settings"
        )
    records = [record for group in groups for record in group.records]
    if len({record.metrics.get("data_sha256") for record in records}) > 1:
        warnings.append("the runs used different data (data_sha256 differs), which may explain a difference")
    splits = {
        as_text({k: v for k, v in record.settings.items() if k.startswith("data.") and _splits(k)})
        for record in records
    }
    if len(splits) > 1:
        warnings.append(
            "the runs split the data differently (data.* differs), so they were trained on different images"
        )
    if any(group.values(metric).get(None) for group in groups):
        warnings.append("some runs have no recorded seed and cannot be paired")
    if family:
        warnings.append(
            f"{len(groups)} groups make {family:,} pairs; the best is compared with the {len(verdicts)} next, "
            f"corrected for all {family:,} pairs since the results chose it; --baseline compares with another one"
        )
    return warnings


def about_failed(records: Sequence[Record], failed: Sequence[Record]) -> list[str]:
    """Return for each setting of a sweep that adds seeds, of which runs have failed, that and why it is not tested."""
    lost = {record.directory for record in failed}
    warnings = []
    for group in grouped([one for one in records if one.state.state == "completed" or one.directory in lost]):
        of = [record for record in group.records if record.directory in lost]
        if of:
            error = next((record.state.error for record in of if record.state.error), "without this metric")
            warnings.append(
                f"{group.name}: {len(of)} of {len(group.records)} runs failed ({error}), so its pairs could not be "
                "tested at every look, but count in the correction of the others"
            )
    return warnings


def _splits(key: str) -> bool:
    return any(word in key for word in ("validation", "limit", "stratif"))
