"""The settings of a row's jobs as they are composed, and in which of them a run differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from mnistlab.config import schema
from mnistlab.runs.record import Record
from mnistlab.sweeps.job import Job, task_part
from mnistlab.sweeps.points import choices_of
from mnistlab.system.flatten import as_text, deciding_settings

EPOCHS = ("trainer.epochs", "model.epochs")
Settings = Mapping[str, Any]


def of_job(job: Job) -> Settings:
    """Return the settings of a job that affect its results, except the seed, in the form of those of a `Record`."""
    content = OmegaConf.to_container(task_part(job.config), resolve=True, enum_to_str=True)
    assert isinstance(content, dict)
    return deciding_settings({str(key): value for key, value in content.items()}, choices_of(job.config))


def differences(run: Record, planned: Settings) -> list[str]:
    """Return the settings in which a run differs, as text; options stand for the values that belong to them.

    Fewer epochs, or a limited number of images, are no difference: such a run is shown as cut short.
    """
    keys = [
        key
        for key in {**planned, **run.settings}
        if "." in key and run.uses(key) and _differ(run, planned, key) and not _cuts_short(run, planned, key)
    ]
    groups = {key.partition(".")[0] for key in keys if _differ(run, planned, key.partition(".")[0])}
    chosen = sorted({*other_options(run, planned), *(groups & {*schema.GROUPS})})
    values = [key for key in keys if key.partition(".")[0] not in chosen]
    return [f"{key}={as_text(run.settings.get(key))} instead of {as_text(planned.get(key))}" for key in chosen + values]


def other_options(run: Record, planned: Settings) -> list[str]:
    """Return the groups of which a run has an option of another kind; kaiming and xavier have the same values."""
    return [
        group
        for group in schema.GROUPS
        if run.uses(group)
        and _differ(run, planned, group)
        and _kind(group, run.settings.get(group)) is not _kind(group, planned.get(group))
    ]


def _kind(group: str, option: Any) -> type[Any] | None:
    return schema.schema_of(group, option) if isinstance(option, str) else None


def _differ(run: Record, planned: Settings, key: str) -> bool:
    return as_text(run.settings.get(key)) != as_text(planned.get(key))


def _cuts_short(run: Record, planned: Settings, key: str) -> bool:
    ran, full = run.settings.get(key), planned.get(key)
    if key == "data.limit":
        return ran is not None
    return key in EPOCHS and isinstance(ran, int) and isinstance(full, int) and ran < full
