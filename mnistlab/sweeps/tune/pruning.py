"""The rules by which a trial is stopped early, and what its runs report to the study."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnistlab.sweeps.rungs import REDUCTION
from mnistlab.system.errors import Pruned

if TYPE_CHECKING:
    from optuna.trial import Trial

    from mnistlab.sweeps.tune.search import Search
    from mnistlab.training.loop import History

METRICS = {"validation.accuracy": ("val_accuracy", "maximize"), "validation.loss": ("val_loss", "minimize")}
PRUNERS = {  # what a trial that is stopped has been
    "median": "worse than the median of the others",
    "halving": f"not among the best 1/{REDUCTION} of the trials at this rung",
    "hyperband": f"not among the best 1/{REDUCTION} of the trials of its bracket at this rung",
    "wilcoxon": "worse than the best trial by a Wilcoxon signed-rank test over its seeds",
    "none": "",
}
BY_EPOCHS = ("median", "halving", "hyperband")
FEWEST_SEEDS = 5  # with fewer, the Wilcoxon test (p < 0.1) cannot stop a trial before its last seed


def pruner_of(name: str, epochs: int) -> Any:
    """Return Optuna's pruner.

    median: worse than the median of the others after as many epochs (Golovin et al. 2017). halving: asynchronous
    successive halving (Li et al. 2020). hyperband: several of them, which begin to stop at different epochs (Li et al.
    2018). wilcoxon: worse than the best trial over the same seeds.
    """
    from optuna import pruners

    match name:
        case "median":
            return pruners.MedianPruner(n_warmup_steps=2)
        case "halving":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION)
        case "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=max(1, epochs), reduction_factor=REDUCTION)
        case "wilcoxon":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is marked as experimental
                return pruners.WilcoxonPruner(p_threshold=0.1)
    return pruners.NopPruner()


@dataclass
class Watch:
    """Reports every epoch of a trial from the worker process to the study, and stops the trial if it is pruned.

    A trial that goes on from the checkpoint of a killed process reports the epochs before it, too.
    """

    search: Search
    trial_id: int
    epochs: int  # of a trial; pruning after the last one would save nothing
    trial: Trial | None = None  # opened once, in the worker
    reported: int = 0

    def __call__(self, history: History) -> None:
        """Report the metric of the last epoch; raise `Pruned` if the pruner stops the trial."""
        import optuna

        trial = self.trial = self.trial or optuna.trial.Trial(self.search.study(), self.trial_id)
        for epoch in history.epochs[self.reported :]:
            value = getattr(epoch, METRICS[self.search.metric][0])
            trial.report(value, epoch.epoch)
        self.reported = len(history.epochs)
        if epoch.epoch < self.epochs and trial.should_prune():
            reason = PRUNERS[self.search.pruner]
            raise Pruned(f"{self.search.metric} {value:.4f} after epoch {epoch.epoch} is {reason}")


@dataclass
class Unwatched:
    """Reports nothing: a trial with several seeds or with two objectives is judged when a run is over."""

    def __call__(self, history: History) -> None:
        """Do nothing. That there is a watch keeps the trial from the test set."""
