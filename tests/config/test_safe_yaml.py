"""YAML of anyone's: what is refused before Hydra sees it, and what Hydra is not let do."""

from pathlib import Path

import pytest

from mnistlab.config import safe_yaml
from mnistlab.system.errors import RequestError

LEVELS = "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8))


def refused(text, **how):
    Path("bad.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RequestError) as error:
        safe_yaml.read(Path("bad.yaml").absolute(), **how)
    return str(error.value)


def test_plain_yaml_is_returned_as_it_is():
    text = "# a comment\na: &a [1, two, 3.5, true, null]\nb: {c: *a, <<: {d: !!str 1}}\n"
    Path("good.yaml").write_text(text)
    assert safe_yaml.read(Path("good.yaml"), mapping=True) == text


def test_nine_lines_that_stand_for_387_million_values():
    # a list of nine is ten values; b has 1 + 9 . 10 = 91, c 820, d 7,381, and e passes 20,000 with its third
    assert refused("a: &a [x, x, x, x, x, x, x, x, x]\n" + LEVELS) == (
        "bad.yaml: line 5, column 16: more than 20,000 values, with every alias expanded; shorten the configuration;"
        " correct it there"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &m\n  x: *m\n", "line 2, column 6: *m does not refer to an earlier anchor; correct it there"),
        ("a: *b\n", "line 1, column 4: *b does not refer to an earlier anchor; correct it there"),
        (
            "a: !!python/object/apply:os.system ['ls']\n",
            "line 1, column 4: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed; only plain"
            " values are read; correct it there",
        ),
        ("a: !mine 1\n", "line 1, column 4: the tag !mine is not allowed; only plain values are read; correct it"),
        ("a:\n\tb: 1\n", "line 2, column 1: found character that cannot start any token; correct it there"),
        ("a: " + "[" * 41, "line 1, column 43: lists or mappings nested more than 40 deep; correct it there"),
        ("a:\n  b: 1\n  c: {b: 2}\n  b: 3\n", "line 4, column 3: found duplicate key b; correct it there"),
        ("? [1, 2]\n: 3\n", "line 1, column 3: a key is a name, not a list or a mapping; correct it there"),
        ("a: " + "9" * 401, "line 1, column 4: a number of 401 digits is too long for any setting; correct it there"),
        (b"a: \xe9\n", "byte 4 is not UTF-8 text; save the file as UTF-8"),
        ("a: '" + "x" * 2**20 + "'", "1,048,581 bytes exceed the maximum of 1,048,576; shorten it"),
        ("\0", "control characters are not allowed; correct it there"),
    ],
)
def test_what_no_configuration_needs_is_refused_by_its_line(text, said):
    assert refused(text).startswith(f"bad.yaml: {said}")


@pytest.mark.parametrize("text", ["- 1\n", "3\n", "seed\n"])
def test_a_configuration_has_keys(text):
    said = "bad.yaml: line 1, column 1: must consist of lines `key: value`; correct it there"
    assert refused(text, mapping=True) == said


def test_a_folder_is_no_configuration():
    Path("bad.yaml").mkdir()
    with pytest.raises(RequestError, match=r"bad.yaml: not a file; must be a configuration file"):
        safe_yaml.read(Path("bad.yaml"))


def write(text, name="c/experiment/bad.yaml"):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


SMALL = ("--config-dir=c", "experiment=bad", "data.limit=100", "data.test_limit=50", "trainer.epochs=1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nseed: 2\n", "c/experiment/bad.yaml: line 2, column 1: found duplicate key seed; correct it there"),
        (
            "seed: 1\n---\nseed: 2\n",
            "c/experiment/bad.yaml: line 2, column 1: but found another document; correct it there",
        ),
        (
            "defaults: [/experiment/bad]\n",
            "experiment=bad: circular reference; check its defaults list and every ${...}",
        ),
        (
            "# @package _global_\nhydra: {callbacks: {x: {_target_: os.mkdir, path: was-here}}}\n",
            "hydra.callbacks: must not be set by a configuration; remove it",
        ),
        (
            "# @package hydra.job_logging\nhandlers: {x: {class: os.system}}\n",
            "hydra.job_logging: must not be set by a configuration; remove it",
        ),
        (
            "# @package _global_\nhydra: {job: {env_set: {LD_PRELOAD: x.so}}}\n",
            "hydra.job.env_set: must not be set by a configuration; remove it",
        ),
        (
            "# @package _global_\nhydra: {output_subdir: ../was-here}\n",
            "hydra.output_subdir: must not be set by a configuration; remove it",
        ),
        (
            "# @package _global_\nhydra: {sweeper: {_target_: os.system}}\n",
            "hydra.sweeper._target_=os.system: a configuration must not name code to import; remove it",
        ),
    ],
)
@pytest.mark.parametrize("more", [(), pytest.param(("-m",), marks=pytest.mark.slow)], ids=["a run", "a sweep"])
def test_an_experiment_of_anyones_runs_no_code_and_says_what_is_wrong(text, said, more, command):
    write(text)
    result = command("train", *SMALL, *more)
    assert (result.status, result.err) == (2, f"mnistlab train: error: {said}\n")
    assert {path.name for path in Path().iterdir()} <= {"c", "outputs"}
    assert not list(Path().rglob("was-here"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../../bad", "experiment/../../bad: outside the configuration directory; choose an option of a group"),
        ("/etc/bad", "experiment=/etc/bad: no such option; choose one of best_cnn, "),
    ],
)
def test_an_option_lies_in_its_folder(name, said, command):
    write("seed: 1\n", "bad.yaml")
    Path("c/x").mkdir(parents=True)
    result = command("train", "--config-dir=c/x", f"experiment={name}")
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert result.err.startswith(f"mnistlab train: error: {said}")


@pytest.mark.parametrize(
    "arguments",
    [("--config-dir=c", "experiment=other"), ("hydra.searchpath=[file://c]", "+experiment=other")],
    ids=["a config folder", "a search path"],
)
def test_a_file_is_checked_by_whatever_way_it_is_named(arguments, command):
    write("defaults: [bad]\n", "c/experiment/other.yaml")
    write("a: &a [x, x, x, x, x, x, x, x, x]\n" + LEVELS)
    result = command("train", *arguments)
    assert result.status == 2
    assert "c/experiment/bad.yaml: line 5, column 16: more than 20,000 values, with every alias expanded" in result.err


@pytest.mark.parametrize("words", [("train",), ("train", "-m"), ("explain",)], ids=" ".join)
def test_a_list_in_a_list_is_no_name_of_an_option(words, command):
    result = command(*words, "experiment=[[[1]]]")
    assert result.status == 2
    assert result.err.startswith(
        f"mnistlab {words[0]}: error: experiment=[[[1]]]: choose one of best_cnn, best_ensemble,"
    )


def test_an_argument_that_is_no_text(command):
    result = command("train", "hydra.run.dir=out\udcff")
    assert (result.status, result.err) == (
        2,
        "mnistlab: error: 'hydra.run.dir=out\\udcff': this argument is not UTF-8 text;"
        " rename the file or correct the argument\n",
    )
