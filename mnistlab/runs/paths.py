"""Every file and folder that mnistlab writes, by its name in the directory of a run, a sweep or a search.

No other module contains these names: a file renamed here is renamed everywhere.
"""

from __future__ import annotations

from pathlib import Path

# A run
STATUS = "status.json"
ENVIRONMENT = "environment.json"
RUN = "run.json"  # settings, for lists of runs
LABELS = "labels.json"  # tags and a note
IMPORTS = "imports"  # the files of --import
HYDRA = ".hydra"
CONFIG = f"{HYDRA}/config.yaml"
OVERRIDES = f"{HYDRA}/overrides.yaml"
HYDRA_CONFIG = f"{HYDRA}/hydra.yaml"
LOG = "train.log"
METRICS = "metrics.json"
HISTORY = "history.csv"  # one row per epoch
NORMS = "norms.csv"  # one row per epoch and layer
MODEL = "model.safetensors"
CHECKPOINT = "checkpoint.safetensors"
REPORT = "report.html"  # also of a sweep
PLOTS = "plots"  # in every directory that has pictures
TRACKING = "tracking.json"  # the run in an MLflow store
TENSORBOARD = "tensorboard"

# The folder of all outputs
INDEX = ".runs.sqlite3"
TRASH = ".trash"
ORIGIN = "origin.json"  # beside a directory in the trash

# A run or an evaluation
PREDICTIONS = "predictions.npz"
CLASSIFICATION_REPORT = "classification_report.csv"
CONFUSION_MATRIX = "confusion_matrix.csv"
CONFUSION_MATRICES = "confusion_matrices.npz"  # instead, for many classes
ROC = "roc.csv"
PRECISION_RECALL = "precision_recall.csv"
MISTAKES = "mistakes.npz"
CLASS_DISTRIBUTION = "class_distribution.csv"
SAMPLES = "samples.npz"
AUGMENTED = "augmented.npz"
FEATURE_MAPS = "feature_maps.npz"
OCCLUSION = "occlusion.npz"

# An evaluation
MEMBERS = "members.csv"  # of an ensemble
ROBUSTNESS = {"noise": ("noise.csv", "noise.npz"), "rotation": ("rotation.csv", "rotation.npz")}  # rows, examples

# A sweep
SWEEP = "sweep.json"  # the jobs
MULTIRUN = "multirun.yaml"  # Hydra's own record
SUMMARY_TABLE = "summary.csv"
SUMMARY_PAGE = "summary.md"
QUEUE = "slurm.json"  # the numbers of its jobs in the queue of Slurm
HALVING_TABLE = "halving.csv"  # which settings were stopped, and when
HALVING_PAGE = "halving.md"

# A hyperparameter search
TUNE = "tune.json"  # the request
STUDY = "study.sqlite3"
TRIALS = "trials"
TRIALS_TABLE = "trials.csv"
CHOSEN = "chosen.json"
FINAL = "final"  # the sweep that tests the chosen configuration
TUNE_PAGE = "tune.md"

# A grid search
GRIDSEARCH = "gridsearch.json"  # the request
FOLDS_TABLE = "folds.csv"
GRID_TABLE = "grid.csv"
REFIT = "refit"  # the run of the best cell
GRIDSEARCH_PAGE = "gridsearch.md"

# A learning rate range test
LR_FIND = "lr_find.json"
LR_FIND_TABLE = "lr_find.csv"
LR_FIND_PLOT = "lr_find.png"

# An exploration: principal components, decision regions
SUMMARY = "summary.json"
VARIANCE = "variance.csv"
POINTS = "points.csv"
COMPONENTS = "components.npz"
ACCURACY = "accuracy.csv"

# An audit of data
AUDITS = "audit"  # in the folder of all outputs
AUDIT = "audit.json"
LABEL_ERRORS = "label_errors.csv"
DUPLICATES = "duplicates.csv"

# The papers
PAPERS_PAGE = "papers.md"
PAPERS_TABLE = "papers.csv"
PAPERS_LATEX = "papers.tex"

# A claims file
CLAIMS_PAGE = "claims.md"
CLAIMS_TABLE = "claims.csv"
CLAIMS_LATEX = "claims.tex"


def plot(directory: Path, name: str) -> Path:
    """Return the path of a picture."""
    return directory / PLOTS / f"{name}.png"


def vector(picture: Path, ending: str) -> Path:
    """Return the path of the vector file of a picture, svg or pdf, in the same folder."""
    return picture.with_name(f"{picture.name.removesuffix('.png')}.{ending}")


def alt_text(picture: Path) -> Path:
    """Return the path of the text equivalent of a picture, in the same folder."""
    return picture.with_suffix(".txt")


def boundary(directory: Path, model: str) -> Path:
    """Return the path of the decision regions of a model."""
    return directory / f"boundary_{model}.npz"
