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


def best_over(
    groups: Sequence[Group], keys: Sequence[str], metric: str, unfinished: Sequence[Record] = ()
) -> tuple[list[Group], list[str]]:
    """Return one group for each setting of the other keys, with the chosen run of every seed, and notes on the choice.

    With the candidates c, the values of ``keys``, and the seeds s, the value of a group in a seed is

        y_s = test(c_s, s),   c_s = argmax_c validation(c, s)

    so that no test image takes part in the choice, and the choice in one seed depends on no other seed. Seeds of which
    a candidate is among the ``unfinished`` runs are left out. Raises `RequestError` if a key does not vary, nothing
    else varies, the metric is one of the validation set, or a run has no validation set.
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
    waiting = {(tuple(as_text(look_up(one.settings, key)) for key in rest), one.seed) for one in unfinished}
    tuned, notes, counts = [], [], {}
    for name, of in candidates.items():
        records = _chosen(of, chosen_by, metric, {seed for other, seed in waiting if other == name})
        if not records:
            continue
        tuned.append(Group({key: of[0].settings[key] for key in rest}, tuple(records)))
        counts[tuned[-1].name] = len(of)
        notes.append(f"{tuned[-1].name}: {_picked(records, keys)}")
    if not tuned:
        raise RequestError(f"{named}: needs runs with {chosen_by} and {metric} in all of a seed; set data.validation")
    more = [f"... {len(notes) - DESCRIBED} more"] if len(notes) > DESCRIBED else []
    said = [f"{', '.join(keys)} is chosen by {chosen_by} in each seed; " + "; ".join([*notes[:DESCRIBED], *more])]
    if len(set(counts.values())) > 1:
        number = ", ".join(f"{name} {count}" for name, count in list(counts.items())[:DESCRIBED])
        said.append(f"the best is chosen among different numbers of candidates ({number}); more find better ones")
    return tuned, said


def _name(group: Group, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(as_text(group.settings[key]) for key in keys)


def _chosen(candidates: Sequence[Group], chosen_by: str, metric: str, left_out: set[int | None]) -> list[Record]:
    """Return the run with the best validation value of every seed; of equal ones the first candidate's."""
    sign = 1 if higher_is_better(chosen_by) else -1
    best: dict[int, Record] = {}
    for group in candidates:
        for record in group.records:
            value, seed = sign * record.value(chosen_by), record.seed
            if seed is None or seed in left_out or math.isnan(value) or math.isnan(record.value(metric)):
                continue
            if seed not in best or value > sign * best[seed].value(chosen_by):
                best[seed] = record
    return [best[seed] for seed in sorted(best)]


def _picked(records: Sequence[Record], keys: Sequence[str]) -> str:
    """Return ``0.1 in 5 of 6 seeds, 0.01 in 1``."""
    picks = Counter(" ".join(as_text(look_up(record.settings, key)) for key in keys) for record in records)
    (first, count), *others = picks.most_common()
    if not others:
        return f"{first} in every seed" if count > 1 else first
    return ", ".join([f"{first} in {count} of {len(records)} seeds", *(f"{name} in {n}" for name, n in others)])
