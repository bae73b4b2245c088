"""The commands whose files are golden: one or several a scenario, run in an empty folder with the files of `inputs`."""

import shlex

SCENARIOS = {
    "default": """
        train experiment=smoke report.plots=all hydra.run.dir=run
    """,
    "dense_sigmoid": """
        train experiment=smoke model=mlp_1hidden model.units=75 model.activation=sigmoid init=scaled
            optimizer=sgd optimizer.lr=0.9 hydra.run.dir=run
    """,
    "dense_dropout_l2": """
        train experiment=smoke model.hidden=[60,20] model.activation=[leaky_relu,tanh]
            regularization=[l2,dropout] hydra.run.dir=run
    """,
    "full_batch": """
        train experiment=smoke model=softmax trainer.batch_size=full optimizer=momentum seed=3 hydra.run.dir=run
    """,
    "early_stopping": """
        train experiment=smoke trainer=early_stopping trainer.epochs=12 trainer.patience=2 schedule=cosine
            schedule.warmup=1 trainer.monitor=accuracy hydra.run.dir=run
    """,
    "augmented_clipped": """
        train experiment=smoke augment=elastic trainer.clip_norm=1 regularization=label_smoothing
            optimizer=rmsprop hydra.run.dir=run
    """,
    "max_norm_one_cycle": """
        train experiment=smoke optimizer=adamw schedule=one_cycle regularization.max_norm=2 init=orthogonal
            hydra.run.dir=run
    """,
    "plateau_exact": """
        train experiment=smoke optimizer=nesterov optimizer.lr=0.05 schedule=plateau schedule.patience=1
            trainer.train_metrics=exact regularization=l1 trainer.epochs=4 hydra.run.dir=run
    """,
    "adagrad_mse": """
        train experiment=smoke optimizer=adagrad optimizer.lr=0.02 model.loss=mean_squared_error
            model.output=sigmoid hydra.run.dir=run
    """,
    "lenet5": """
        train data.limit=400 data.test_limit=100 trainer.epochs=2 optimizer.lr=0.002 model=lenet5
            report.plots=all report.images=[0,7] hydra.run.dir=run
    """,
    "cnn_simple_affine": """
        train data.limit=400 data.test_limit=100 trainer.epochs=2 optimizer.lr=0.002 model=cnn_simple
            augment=affine hydra.run.dir=run
    """,
    "cnn_batchnorm": """
        train data.limit=400 data.test_limit=100 trainer.epochs=2 optimizer.lr=0.002 model=lenet5
            optimizer=sgd optimizer.lr=0.1 'model.layers=[{conv: {filters: 6, kernel: 3, padding:
            same}},batchnorm,relu,avgpool,{dropout: {rate: 0.2}},flatten,{dense: {units: 20}},batchnorm,gelu]'
            hydra.run.dir=run
    """,
    "svm": """
        train data.limit=400 data.test_limit=100 model=svm_rbf model.C=10 hydra.run.dir=run
    """,
    "random_forest": """
        train data.limit=400 data.test_limit=100 model=random_forest hydra.run.dir=run
    """,
    "own_folder": """
        train data=folder data.path=pictures data.size=12 trainer.epochs=3 hydra.run.dir=run
    """,
    "own_csv": """
        train data=csv data.path=digits.csv trainer.epochs=3 hydra.run.dir=run
    """,
    "own_npz": """
        train data=npz data.path=digits.npz trainer.epochs=3 model=softmax hydra.run.dir=run
    """,
    "digits": """
        train data=digits trainer.epochs=3 report.console=quiet hydra.run.dir=run
        doctor run
    """,
    "resumed": """
        train experiment=smoke regularization=dropout augment=shift hydra.run.dir=run
        resume run trainer.epochs=4
        report run report.plots=all
    """,
    "sweep": """
        train -m experiment=smoke init=random,kaiming optimizer.lr=0.001,0.01 seed=0,1 hydra.sweep.dir=sweep
            report.plots=none
        compare sweep --to comparison
    """,
    "sweep_of_kinds": """
        train -m experiment=smoke model=softmax,svm_linear,knn hydra.sweep.dir=sweep report.plots=none
        compare sweep --metric test.accuracy --format markdown
    """,
    "grid_search": """
        gridsearch data.limit=400 data.test_limit=100 model=svm_rbf model.gamma=[1e-3,1e-2] model.C=[1,10]
            --cv 3 --to grid
        gridsearch data.limit=400 data.test_limit=100 model.hidden=[16],[16,8] trainer.epochs=2 --cv 2 --to dense
    """,
    "ensemble": """
        train -m experiment=smoke seed=0,1,2 hydra.sweep.dir=seeds report.plots=none
        evaluate seeds/0_seed=0 seeds/1_seed=1 seeds/2_seed=2 --noise 0,0.2 --rotate 0,30 --to evaluated
        evaluate seeds/0_seed=0 data=folder data.path=pictures data.size=28 --split all --to others
    """,
    "photographs": """
        train experiment=smoke hydra.run.dir=run
        predict run photographs --show seen.png --json
        export run --format numpy --to numpy
        export run --format npz --to npz
        export run --format safetensors --to safetensors
        export run --format onnx --to onnx
    """,
    "range_test": """
        lr-find model=lenet5 optimizer=momentum data.limit=400 data.test_limit=100 --steps 60 --to rates
    """,
    "explore": """
        explore pca data=digits --to pca
        explore boundary data=digits model=mlp_2hidden,knn --points 300 --to regions
    """,
    "tune": """
        tune experiment=smoke optimizer.lr=log(1e-4,1) --trials 4 --jobs 1 --seeds 2 --no-prune --to search
    """,
    "reproduce": """
        reproduce macalinao/batch --seeds 2 data=mnist5k trainer.epochs=3 --to papers
    """,
}


def commands(name: str) -> list[list[str]]:
    """Return the words of each command of a scenario; a line that is indented further continues the one before."""
    lines: list[str] = []
    for line in SCENARIOS[name].strip("\n").splitlines():
        indent = len(line) - len(line.lstrip())
        if indent > 8:
            lines[-1] += " " + line.strip()
        elif line.strip():
            lines.append(line.strip())
    return [shlex.split(line) for line in lines]
