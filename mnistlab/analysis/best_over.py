"""``--best-over``: every setting with its own best value of some others, chosen by validation within each seed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from mnistlab.analysis.verdict_text import higher_is_better
from mnistlab.runs.record import Group, Record
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text, look_up

METRIC = "test.accuracy"
DESCRIBED = 8  # groups whose choices are listed
LOST = ("failed", "pruned")  # states of candidates that ended without a result, and are not chosen


def best_over(
    groups: Sequence[Group], keys: Sequence[str], metric: str, others: Sequence[Record] = ()
) -> tuple[list[Group], list[str]]:
    """Return one group for each setting of the other keys, with the chosen run of every seed, and notes on the choice.

    With the candidates c, the values of ``keys``, and the seeds s, the value of a group in a seed is

        y_s = test(c_s, s),   c_s = argmax_c validation(c, s)

    so that no test image takes part in the choice, and the choice in one seed depends on no other seed. A seed in which
    a candidate has no result is left out, as the best of fewer candidates is worse, unless that run is one of the
    ``others`` and has failed or was pruned. Raises `RequestError` if a key does not vary, nothing else varies, the
    metric is one of the validation set, or no seed is left.
    """
    named, varied = f"--best-over {','.join(keys)}", list(groups[0].settings)
    for key in keys:
        if key not in varied:
            known = f"must be a setting that varies: {', '.join(varied)}" if varied else "no setting varies"
            raise RequestError(f"{named}: {known}{did_you_mean(key, varied)}")
    rest = [key for key in varied if key not in keys]
    if not rest:
        raise RequestError(f"{named}: no other setting varies, so that there is nothing to compare; leave it out")
    if metric.startswith("validation."):
        raise RequestError(
            f"{named} --metric {metric}: the choice is made by {metric}, which is too high for what was chosen; "
            f"leave out --metric, which is then {METRIC}"
        )
    chosen_by = f"validation.{metric.removeprefix('test.')}" if metric.startswith("test.") else "validation.accuracy"
    candidates: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        candidates.setdefault(_name(group, rest), []).append(group)
    without: dict[tuple[str, ...], list[Record]] = {}
    for other in others:
        without.setdefault(_name(other, rest), []).append(other)
    tuned, notes, counts, left_out = [], [], {}, []
    for name, of in candidates.items():
        records, gone = _chosen(of, keys, chosen_by, metric, without.get(name, []))
        one = Group({key: of[0].settings[key] for key in rest}, tuple(records or of[0].records))
        if gone:
            left_out.append(f"{one.name} in {_seeds(gone) if records else 'every seed'}")
        if records:
            tuned.append(one)
            counts[one.name] = len(of)
            notes.append(f"{one.name}: {_picked(records, keys)}")
    if not tuned:
        raise RequestError(f"{named}: {_cause(groups, others, chosen_by, metric)}")
    more = [f"... {len(notes) - DESCRIBED} more"] if len(notes) > DESCRIBED else []
    said = [f"{', '.join(keys)} is chosen by {chosen_by} in each seed; " + "; ".join([*notes[:DESCRIBED], *more])]
    if len(set(counts.values())) > 1:
        number = ", ".join(f"{name} {count}" for name, count in list(counts.items())[:DESCRIBED])
        said.append(f"the best is chosen among different numbers of candidates ({number}); more find better ones")
    if left_out:
        more = [f"... {len(left_out) - DESCRIBED} more"] if len(left_out) > DESCRIBED else []
        said.append("left out, as some candidates have no result there: " + "; ".join([*left_out[:DESCRIBED], *more]))
    return tuned, said


def _name(one: Group | Record, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(as_text(look_up(one.settings, key)) for key in keys)


def _chosen(
    candidates: Sequence[Group], keys: Sequence[str], chosen_by: str, metric: str, others: Sequence[Record]
) -> tuple[list[Record], list[int]]:
    """Return the run with the best validation value of every seed, of equal ones the first, and the seeds left out."""
    sign = 1 if higher_is_better(chosen_by) else -1
    lost = {(_name(one, keys), one.seed) for one in others if one.state.state in LOST}
    waiting = {one.seed for one in others if one.state.state not in LOST}
    chosen, left_out = [], []
    for seed in sorted({record.seed for group in candidates for record in group.records if record.seed is not None}):
        found = {
            i: [record for record in group.records if record.seed == seed and _has(record, chosen_by, metric)]
            for i, group in enumerate(candidates)
            if (_name(group, keys), seed) not in lost or any(record.seed == seed for record in group.records)
        }
        if seed in waiting or not all(found.values()):
            left_out.append(seed)
        else:
            runs = [record for records in found.values() for record in records]
            chosen.append(max(runs, key=lambda record: sign * record.value(chosen_by)))
    return chosen, left_out


def _has(record: Record, *metrics: str) -> bool:
    return not any(math.isnan(record.value(metric)) for metric in metrics)


def _seeds(seeds: Sequence[int]) -> str:
    """Return ``seed 3``, or ``seeds 1, 2, 3``, or the number of many."""
    if len(seeds) > DESCRIBED:
        return f"{len(seeds)} seeds"
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _cause(groups: Sequence[Group], others: Sequence[Record], chosen_by: str, metric: str) -> str:
    """Return why there is no seed in which every candidate has a result, and the cure."""
    needs = f"needs runs with {chosen_by} and {metric} in all of a seed"
    if not any(_has(record, chosen_by, metric) for group in groups for record in group.records):
        return f"{needs}; set data.validation"
    waiting = [one.state.state for one in others if one.state.state not in LOST]
    if "running" in waiting:
        return f"{needs}; wait for the runs that are still training"
    if waiting:
        return f"{needs}; {len(waiting)} are unfinished; continue them with `mnistlab resume`"
    return f"{needs}; train the candidates that are missing"


def _picked(records: Sequence[Record], keys: Sequence[str]) -> str:
    """Return ``0.1 in 5 of 6 seeds, 0.01 in 1``."""
    picks = Counter(" ".join(as_text(look_up(record.settings, key)) for key in keys) for record in records)
    (first, count), *others = picks.most_common()
    if not others:
        return f"{first} in every seed" if count > 1 else first
    return ", ".join([f"{first} in {count} of {len(records)} seeds", *(f"{name} in {n}" for name, n in others)])
