"""Nonsense on the command line, and in YAML files."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hostile_cases import Case, all_of, put
from hostile_cases.bombs import aliases


def override_cases(rng: random.Random) -> Iterator[Case]:
    """Write nonsense on the command line, and in YAML files."""
    keys = ["optimizer.lr", "model.hidden", "trainer.epochs", "trainer.batch_size", "data.limit", "data.validation"]
    keys += ["regularization.dropout", "schedule.warmup", "seed", "model", "optimizer", "data", "init", "report.images"]
    keys += ["model.layers", "trainer.monitor", "experiment", "data.path", "model.activation", "hydra"]
    values = [
        "-1",
        "0",
        "nan",
        "inf",
        "1e999",
        "null",
        "[]",
        "{}",
        "''",
        "x" * 5000,
        "[[[[1]]]]",
        "{a:{b:{c:1}}}",
        "true",
    ]
    values += [
        "../../etc/passwd",
        "/etc/passwd",
        "${env:HOME}",
        "${oc.env:HOME}",
        "${.lr}",
        "${seed}",
        "9" * 400,
        "\u202e",
    ]
    values += [
        "\x1b[2J",
        "💥",
        "a,b,c",
        "choice(1,2)",
        "range(0,10)",
        "1e-400",
        "0x7f",
        "1_000",
        "'\"",
        "\\",
        "%s%n",
        "==",
    ]
    values += [
        "[1,2,",
        "{a:",
        "(",
        "@",
        "os.system",
        "${resolver:x}",
        "glob(*)",
        "!!python/object:os.system",
        "-0.0",
        "1:2",
    ]
    bomb = aliases()
    for what, text in {
        "an alias bomb": "# @package _global_\n" + bomb,
        "an alias to itself": "# @package _global_\nmodel: &m\n  x: *m\n",
        "a python object": "# @package _global_\nmodel: !!python/object/apply:os.system ['touch was-here']\n",
        "tabs": "# @package _global_\n\tmodel: x\n",
        "a list": "- 1\n- 2\n",
        "a number": "3\n",
        "binary": "\x00\x01\x02",
        "deep": "# @package _global_\nmodel: " + "[" * 2000,
        "a loop of defaults": "defaults: [/experiment/bad]\n",
        "defaults upwards": "defaults: [../../../etc/passwd]\n",
        "an interpolation loop": "# @package _global_\noptimizer:\n  lr: ${optimizer.lr}\n",
        "a target": "# @package _global_\nmodel:\n  _target_: os.system\n",
        "a huge number": "# @package _global_\nseed: " + "9" * 5000 + "\n",
        "a key twice": "# @package _global_\nseed: 1\nseed: 2\n",
        "two documents": "# @package _global_\nseed: 1\n---\nseed: 2\n",
        "an unknown alias": "# @package _global_\nseed: *nowhere\n",
        "text": "seed\n",
        "nothing": "",
        "Latin-1": "# @package _global_\nseed: \udce9\n",
        "a date": "# @package _global_\nseed: 2020-01-01\n",
        "a merge": "# @package _global_\n<<: [1, 2]\n",
        "a mode of Hydra's": "# @package _global_\nhydra:\n  mode: NONE\n",
        "another launcher": "defaults:\n  - override /hydra/launcher: ../../x\n",
        "a class to launch": "# @package _global_\nhydra:\n  launcher:\n    _target_: os.system\n",
        "a callback": "# @package hydra.callbacks\nx:\n  _target_: os.mkdir\n  path: was-here\n",
        "environment variables": "# @package _global_\nhydra:\n  job:\n    env_set:\n      LD_PRELOAD: x\n",
        "a directory elsewhere": "# @package _global_\nhydra:\n  output_subdir: ../../was-here\n",
        "keys that are no text": "# @package _global_\n1: 2\n? [1, 2]\n: 3\n",
        "ten MB": "# @package _global_\nmodel: '" + "x" * 10**7 + "'\n",
    }.items():
        rest = ["report.plots=none", "hydra.run.dir=out", "data.limit=100", "data.test_limit=50", "trainer.epochs=1"]
        for name in (["experiment=bad"], ["experiment=bad", "-m", "hydra.sweep.dir=out", "hydra/launcher=basic"]):
            content = text.encode(errors="surrogateescape")
            yield Case("yaml", what, ["train", "--config-dir=c", *name, *rest], put("c/experiment/bad.yaml", content))
    for what, arguments in {
        "a file that names the bomb": ["--config-dir=c", "experiment=other"],
        "a searchpath": ["hydra.searchpath=[file://c]", "experiment=bad"],
        "a config path": ["--config-path=c"],
        "a config name": ["--config-name=../c/experiment/bad"],
        "an experiment upwards": ["--config-dir=c", "experiment=../../bad"],
        "an absolute experiment": ["--config-dir=c", "experiment=/etc/bad"],
        "an option upwards": ["model=../experiment/smoke"],
        "a config folder that is a file": ["--config-dir=c/experiment/bad.yaml"],
        "bytes that are no text": ["hydra.run.dir=out\udcff"],
    }.items():
        others = put("bad.yaml", b"seed: 1\n"), put("c/experiment/other.yaml", b"defaults: [bad]\n")
        bomb_file = put("c/experiment/bad.yaml", ("# @package _global_\n" + bomb).encode())
        yield Case("yaml", what, ["train", *arguments], all_of(bomb_file, *others))
    while True:
        chosen = [f"{rng.choice(('', '', '', '+', '++', '~'))}{rng.choice(keys)}={rng.choice(values)}"]
        if rng.random() < 0.3:
            chosen.append(f"{rng.choice(keys)}={rng.choice(values)}")
        if rng.random() < 0.1:
            chosen = ["".join(rng.choice("=+~[]{}(),:'\"$ \\abc.01-\n\t@") for _ in range(rng.randrange(1, 30)))]
        command = rng.choice((["train"], ["train"], ["explain"], ["train", "-m"]))
        if rng.random() < 0.05:
            chosen = ["".join(map(chr, rng.sample(range(32, 0x2000), 12)))]
        rest = [] if command == ["explain"] else ["trainer.epochs=1", "data.limit=100", "data.test_limit=50"]
        where = {("train",): ["hydra.run.dir=out"], ("train", "-m"): ["hydra.sweep.dir=out", "hydra/launcher=basic"]}
        plain = ["report.plots=none"] if rest else []
        given = [*command, *rest, *plain, *where.get(tuple(command), []), *chosen]
        yield Case("overrides", " ".join(chosen)[:60], given, lambda folder: None)
