"""A key of the command line is in an error because a caller put it there: not the engine, and not by cutting text."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from mnistlab.config.schema import EPOCHS, GROUPS, MENTIONED, Root, prefixed
from mnistlab.nn.architectures import LayerList
from mnistlab.nn.network import Network
from mnistlab.nn.regularization import Regularization
from mnistlab.nn.schedules import Constant, OneCycle
from mnistlab.system.errors import Key, RequestError
from mnistlab.training.config import TrainerConfig

PACKAGE = Path(__file__).parents[2] / "mnistlab"
ENGINE = sorted(path for room in ("nn", "training", "data") for path in (PACKAGE / room).rglob("*.py"))
OTHERS = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "config" / "errors.py"})


def keys() -> set[str]:
    """Return all keys of the command line: a group, a dot, and a field of one of its schemas."""
    schemas = {group: tuple(options.values()) for group, options in GROUPS.items()}
    plain = {field.name: field.default_factory for field in fields(Root)}
    schemas |= {name: (schema,) for name, schema in plain.items() if is_dataclass(schema)}
    return {f"{group}.{field.name}" for group, options in schemas.items() for cls in options for field in fields(cls)}


def test_the_keys_are_those_of_every_group() -> None:
    groups = {key.split(".")[0] for key in keys()}
    assert groups == {field.name for field in fields(Root)} - {"seed", "tags", "note"}
    assert {"optimizer.lr", "trainer.epochs", "regularization.l2", "report.plots", "model.neighbours"} <= keys()


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_engine_names_no_key_of_the_command_line(path: Path) -> None:
    key = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, sorted(keys())))})\b")
    texts = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    named = [(node.lineno, match[0]) for node in texts for match in key.finditer(f"{node.value}")]
    assert not named


def test_keys_that_errors_mention_exist() -> None:
    assert {key for names in MENTIONED.values() for key in names.values()} | {EPOCHS} <= keys()
    assert set(MENTIONED) <= {field.name for field in fields(Root)}


def test_every_key_that_the_engine_mentions_is_known() -> None:
    mentioned = {
        node.args[0].value
        for path in ENGINE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == Key.__name__
        if isinstance(node.args[0], ast.Constant)
    }
    others = {name for names in MENTIONED.values() for name in names}
    of_the_group_itself = {"output_layer": "model.output_layer", "root": "data.root"}
    assert mentioned == others | set(of_the_group_itself)
    assert set(of_the_group_itself.values()) <= keys()


def layers(*descriptions: object, output_layer: bool = True) -> Network:
    model = LayerList(layers=["flatten", *descriptions], output_layer=output_layer)
    return model.network((8, 8), 10, Regularization())


@pytest.mark.parametrize(
    ("group", "request_", "line"),
    [
        (
            "schedule",
            lambda: Constant(warmup=5).start(5, 1),
            "schedule.warmup=5: the warm-up must be shorter than trainer.epochs=5",
        ),
        (
            "schedule",
            lambda: OneCycle(end_divisor=0.5),
            "schedule.end_divisor=0.5: the divisor must be 1 or more; optimizer.lr is the peak",
        ),
        (
            "trainer",
            lambda: TrainerConfig(patience=3).check(100, 0),
            "trainer.patience=3: there is no validation set to watch; set data.validation, for example to 0.1",
        ),
        (
            "regularization",
            lambda: LayerList(layers=["flatten", {"dropout": {"rate": 0.2}}]).check(Regularization(dropout=[0.1])),
            "regularization.dropout=[0.1]: model.layers has dropout of its own; set one of them",
        ),
        (
            "model",
            lambda: layers(output_layer=False),
            "model.layers: the last one gives 64 outputs for 10 classes; end them with dense: {units: 10}, which "
            "model.output_layer=true does",
        ),
        (
            "model",
            lambda: layers({"leaky_relu": {"slope": 2}}),
            "model.layers.1.leaky_relu.slope=2: the slope of leaky_relu must lie between 0 and 1; for 0 use relu",
        ),
    ],
)
def test_the_caller_puts_the_group_before_every_key(group: str, request_, line: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RequestError) as caught, prefixed(group):
        request_()
    assert str(caught.value) == line


CUTS = {"partition", "rpartition", "split", "rsplit", "replace", "startswith", "endswith"}
CUTS |= {"removeprefix", "removesuffix", "find", "index", "strip", "lstrip", "rstrip"}
CAUGHT = {"RequestError", "ValueError", "Exception", "BaseException", "RunError", "BadFileError"}


def text_of(node: ast.AST, error: str) -> bool:
    """Return whether an expression is the text of an error: ``str(error)`` or ``f"{error}"``."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(one, ast.FormattedValue) and named(one.value, error) for one in node.values)
    return isinstance(node, ast.Call) and named(node.func, "str") and any(named(one, error) for one in node.args)


def named(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def taken_apart(tree: ast.AST) -> Iterator[int]:
    """Yield the lines in which the text of an error that may be one of ours is cut, changed or matched."""
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or not handler.name:
            continue
        kinds = {node.id for node in ast.walk(handler.type or ast.Name("Exception")) if isinstance(node, ast.Name)}
        if not kinds & CAUGHT:
            continue
        inside = [node for statement in handler.body for node in ast.walk(statement)]
        texts = {
            target.id
            for node in inside
            if isinstance(node, ast.Assign) and text_of(node.value, handler.name)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

        def is_text(node: ast.AST, error: str = handler.name, texts: set[str] = texts) -> bool:
            return text_of(node, error) or (isinstance(node, ast.Name) and node.id in texts)

        for node in inside:
            if isinstance(node, ast.Subscript) and is_text(node.value):
                yield node.lineno
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            spaces_only = node.func.attr == "split" and not node.args  # " ".join(text.split()) keeps every word
            if node.func.attr in CUTS and is_text(node.func.value) and not spaces_only:
                yield node.lineno
            if named(node.func.value, "re") and any(map(is_text, node.args)):
                yield node.lineno


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_takes_the_text_of_an_error_apart(path: Path) -> None:
    assert list(taken_apart(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        ('raise RequestError(str(error).replace("a", "b"))', True),
        ('raise RequestError(f"{error}".removeprefix("a"))', True),
        ('key = str(error).partition("=")[0]', True),
        ('message = str(error); message.startswith("a")', True),
        ("message = str(error); rest = message[6:]", True),
        ('re.sub("a", "b", str(error))', True),
        ('raise RequestError(f"{error}; a cure")', False),
        ('message = " ".join(str(error).split())', False),
        ("raise error.under('model')", False),
    ],
)
def test_such_lines_are_seen(line: str, cut: bool) -> None:
    tree = ast.parse(f"try:\n    pass\nexcept (OSError, RequestError) as error:\n    {line}\n")
    assert bool(list(taken_apart(tree))) == cut
