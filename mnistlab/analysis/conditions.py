"""``--where``: the runs whose settings meet conditions, in the language of the filters of `mnistlab runs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mnistlab.runs import filters
from mnistlab.runs.record import PARTS, Record
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text, look_up

SHOWN = 8  # values of a setting in a message
FACTS = ("parameters", "epochs", "state", "seconds", "tag", "note")  # filters that are no settings


def meeting(records: Sequence[Record], where: str) -> list[Record]:
    """Return the runs that meet all conditions on their settings and seed, ``"init=kaiming,random optimizer.lr<0.1"``.

    Raises `RequestError` for a condition on results, which would bias every test, for a setting that no run has, and if
    no run meets the conditions.
    """
    conditions = _parsed(where)
    known = list(dict.fromkeys(["seed", *(key for record in records for key in record.settings)]))
    kept = list(records)
    for key, operator, value in conditions:
        if key.partition(".")[0] in (*PARTS, *FACTS):
            raise RequestError(f"--where {key}{operator}{value}: must be a setting; choosing by results biases tests")
        values = [_value(record, key) for record in records]
        if all(each is None for each in values):
            raise RequestError(f"--where {key}{operator}{value}: no run has this setting{did_you_mean(key, known)}")
        kept = [record for record in kept if _meets(record, key, operator, value)]
        if not kept:
            texts = sorted({as_text(each) for each in values})
            shown = ", ".join(texts[:SHOWN]) + (", ..." if len(texts) > SHOWN else "")
            raise RequestError(f"--where {where}: no run meets it; {key} is {shown}")
    return kept


def _parsed(where: str) -> list[tuple[str, str, str]]:
    try:
        return filters.parse([where])
    except RequestError as error:
        raise RequestError(f"--where {error}") from None


def _meets(record: Record, key: str, operator: str, value: str) -> bool:
    try:
        return filters.holds(_value(record, key), operator, value)
    except RequestError:
        raise RequestError(f"--where {key}{operator}{value}: must be compared with a number") from None


def _value(record: Record, key: str) -> Any:
    return record.seed if key == "seed" else look_up(record.settings, key)
