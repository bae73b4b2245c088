"""`mnistlab export`: the same probabilities in ONNX Runtime, in one file of NumPy, and again here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import processes
from helpers.runs import write_status
from helpers.tables import thinned

from mnistlab.config import compose, options, schema
from mnistlab.inference.export import numpy_source
from mnistlab.models import model_file
from mnistlab.nn.activations import ACTIVATIONS
from mnistlab.nn.architectures import LAYERS, Model, network_from_spec
from mnistlab.nn.folding import folded
from mnistlab.nn.initializers import Kaiming
from mnistlab.nn.losses import LOSSES
from mnistlab.nn.network import Network
from mnistlab.nn.regularization import Regularization

Command = Callable[..., Any]
NAMES = tuple("0123456789")
TOLERANCE = 1e-5

MAPS: dict[str, list[Any]] = {
    "conv same, stride 2": [{"conv": {"filters": 3, "kernel": 4, "stride": 2, "padding": "same"}}],
    "conv same, even kernel": [{"conv": {"filters": 3, "kernel": 2, "padding": "same"}}],
    "conv padded, stride 3": [{"conv": {"filters": 2, "kernel": 3, "stride": 3, "padding": 1}}],
    "conv, pooled": [{"conv": {"filters": 2, "kernel": 3}}, "relu", "maxpool"],
    "maxpool, windows that overlap": [{"maxpool": {"size": 3, "stride": 2}}],
    "maxpool, windows apart": [{"maxpool": {"size": 2, "stride": 3}}],
    "avgpool, an edge left out": [{"avgpool": {"size": 3}}],
    "avgpool": [{"conv": {"filters": 2, "kernel": 3}}, "avgpool"],
    "batchnorm of maps": [{"conv": {"filters": 3, "kernel": 3}}, {"batchnorm": {"eps": 0.01}}, "relu"],
    "dropout of maps": [{"dropout": {"rate": 0.3}}, {"conv": {"filters": 2, "kernel": 5}}],
}
VECTORS: dict[str, list[Any]] = {
    **{f"{name}": [{"dense": {"units": 7}}, name] for name in ACTIVATIONS},
    "leaky_relu, steep": [{"dense": {"units": 7}}, {"leaky_relu": {"slope": 0.4}}],
    "elu, deep": [{"dense": {"units": 7}}, {"elu": {"alpha": 1.7}}],
    "batchnorm of units": [{"dense": {"units": 7}}, "batchnorm", "tanh"],
    "flatten twice": ["flatten", {"dense": {"units": 5}}],
}
ROWS = {
    **{name: [*row, "flatten"] for name, row in MAPS.items()},
    **{name: ["flatten", *row] for name, row in VECTORS.items()},
    "globalavgpool": [{"conv": {"filters": 4, "kernel": 3}}, "globalavgpool"],
}
CONFIGURED = [
    name for name in options.option_names("model") if isinstance(schema.schema_of("model", name), type)
    and issubclass(schema.schema_of("model", name), Model)
]  # fmt: skip


def network_of(layers: list[Any], output: str = "softmax", loss: str = "cross_entropy", **others: Any) -> Network:
    about = {"image_shape": [13, 10], "classes": 10, "label_smoothing": 0.0, "shift": 33.3, "scale": 1 / 78.6, **others}
    spec = {"layers": [*layers, {"dense": {"units": 10}}], "loss": loss, "output": output, **about}
    return randomised(network_from_spec(spec))


def randomised(network: Network) -> Network:
    """Return it with random weights, biases and statistics: a place that is mixed up is seen."""
    rng = np.random.default_rng(1)
    network.initialise(Kaiming(), rng)
    biases = network.theta[network.n_weights :]
    biases += 0.3 * rng.standard_normal(biases.size)
    network.buffers[:] = rng.uniform(0.2, 1.5, network.buffers.size)
    return network


def images_for(network: Network, n: int = 9) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (n, *network.image_shape), dtype=np.uint8)


def configured(name: str) -> Network:
    made = schema.experiment(compose.compose([f"model={name}"]))
    assert isinstance(made.model, Model)
    return randomised(made.model.network((28, 28), 10, Regularization()))


def in_onnxruntime(content: bytes, images: np.ndarray) -> np.ndarray:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install onnxruntime")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"images": images})
    return np.asarray(probabilities)


def onnx_of(network: Network, class_names: tuple[str, ...] = NAMES) -> bytes:
    pytest.importorskip("onnx", reason="needs onnx: pip install onnx")
    from mnistlab.inference.export import onnx as onnx_graph

    return onnx_graph.model(network, class_names)


def by_numpy(network: Network, images: np.ndarray, folder: Path = Path("numpy")) -> np.ndarray:
    """Return what predict.py gives, run where nothing of this package can be imported."""
    from mnistlab.inference.export import npz

    folder.mkdir(exist_ok=True)
    (folder / "predict.py").write_text(numpy_source.source(network))
    (folder / "weights.npz").write_bytes(npz.npz(network, NAMES))
    np.save(folder / "images.npy", images)
    code = (
        "import runpy, sys, numpy as np; "
        "made = runpy.run_path('predict.py'); "
        "np.save('probabilities.npy', made['predict'](np.load('images.npy'))); "
        "assert not [name for name in sys.modules if name.startswith('mnistlab')]"
    )
    processes.run([sys.executable, "-I", "-W", "error", "-c", code], cwd=folder, check=True)
    return np.asarray(np.load(folder / "probabilities.npy"))


# every network


def test_the_cases_cover_every_layer() -> None:
    used = {next(iter(layer)) if isinstance(layer, dict) else layer for row in ROWS.values() for layer in row}
    assert used | {"dense"} == set(LAYERS)
    assert {"lenet5", "cnn_simple", "cnn_enhanced", "lenet_dropout", "mlp_2hidden", "softmax"} <= set(CONFIGURED)


@pytest.mark.parametrize("name", thinned(CONFIGURED, 3))
def test_every_model_of_conf_gives_the_same_in_onnx(name: str) -> None:
    network = configured(name)
    images = images_for(network)
    np.testing.assert_allclose(
        in_onnxruntime(onnx_of(network), images), network.predict(images), rtol=0, atol=TOLERANCE
    )


@pytest.mark.process
@pytest.mark.parametrize("name", thinned(CONFIGURED, 3))
def test_every_model_of_conf_gives_the_same_in_numpy(name: str) -> None:
    network = configured(name)
    images = images_for(network)
    np.testing.assert_allclose(by_numpy(network, images), network.predict(images), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_every_layer_gives_the_same_in_onnx(row: list[Any]) -> None:
    network = network_of(row)
    images = images_for(network)
    np.testing.assert_allclose(
        in_onnxruntime(onnx_of(network), images), network.predict(images), rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_every_layer_gives_the_same_in_numpy(row: list[Any]) -> None:
    from mnistlab.inference.export import npz

    network = network_of(row)
    images = images_for(network)
    made: dict[str, Any] = {"__name__": "predict", "__file__": str(Path("predict.py").absolute())}
    Path("weights.npz").write_bytes(npz.npz(network, NAMES))
    exec(compile(numpy_source.source(network), "predict.py", "exec"), made)
    np.testing.assert_allclose(made["predict"](images), network.predict(images), rtol=0, atol=TOLERANCE)


@pytest.mark.process
@pytest.mark.parametrize(
    ("output", "loss"),
    [(output, name) for name, cls in LOSSES.items() for output in cls.outputs],
)
def test_every_output_gives_the_same(output: str, loss: str) -> None:
    network = network_of(["flatten"], output, loss)
    network.theta[-10:] = np.linspace(-200, -150, 10)  # logits for which every sigmoid is a rounded zero
    images = images_for(network)
    expected = network.predict(images)
    np.testing.assert_allclose(in_onnxruntime(onnx_of(network), images), expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(by_numpy(network, images), expected, rtol=0, atol=TOLERANCE)


def test_any_number_of_images_goes_through_onnx() -> None:
    network = network_of(["flatten"])
    content = onnx_of(network)
    for n in (1, 2, 300):
        assert in_onnxruntime(content, images_for(network, n)).shape == (n, 10)


@pytest.mark.parametrize("pixels", ["uint8", "float"])
@pytest.mark.parametrize("layout", ["nhw", "nchw"])
@pytest.mark.parametrize("output", ["probabilities", "logits"])
@pytest.mark.parametrize("last", ["softmax", "sigmoid"])
def test_the_input_and_the_output_can_be_chosen(pixels: str, layout: str, output: str, last: str) -> None:
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from mnistlab.inference.export import onnx as onnx_graph

    network = network_of(["flatten"], last, next(name for name, cls in LOSSES.items() if last in cls.outputs))
    images = images_for(network)
    content = onnx_graph.model(network, NAMES, onnx_graph.Signature(pixels, layout, output))
    taken = images if pixels == "uint8" else images.astype(np.float32) / 255
    taken = taken if layout == "nhw" else taken[:, None]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run([output], {"images": taken})
    expected = network.predict(images)
    if output == "logits":
        expected = np.concatenate([z.T.copy() for _, z in network._logits(images)])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    about = {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}
    assert about["input_range"] == ("0 to 255" if pixels == "uint8" else "0 to 1")
    assert about["input_shape"] == ("n, 13, 10" if layout == "nhw" else "n, 1, 13, 10")
    assert about["output_name"] == output


def test_the_graph_says_what_it_takes_and_gives() -> None:
    onnx = pytest.importorskip("onnx")
    made = onnx.load_model_from_string(onnx_of(network_of(["flatten"]), ("a ü", '"', *NAMES[2:])))
    about = {entry.key: entry.value for entry in made.metadata_props}
    assert json.loads(about.pop("class_names"))[:2] == ["a ü", '"']
    assert json.loads(about.pop("architecture"))["image_shape"] == [13, 10]
    assert about == {
        "input_name": "images",
        "input_type": "uint8",
        "input_shape": "n, 13, 10",
        "input_range": "0 to 255",
        "input_polarity": "light ink on a dark background: 0 is black",
        "output_name": "probabilities",
    }
    assert [(entry.domain, entry.version) for entry in made.opset_import] == [("", 17)]
    (taken,) = made.graph.input
    assert [side.dim_param or side.dim_value for side in taken.type.tensor_type.shape.dim] == ["n", 13, 10]


# files


def test_the_files_of_every_format(command: Command, train: Callable[..., Path]) -> None:
    run = train()
    network, class_names = model_file.load_model(run / "model.safetensors")
    before = sorted(path.name for path in run.iterdir())
    for name, files in {
        "onnx": ["model.onnx"],
        "numpy": ["predict.py", "weights.npz"],
        "npz": ["model.npz"],
        "safetensors": ["model.safetensors"],
    }.items():
        if name == "onnx":
            pytest.importorskip("onnx")
        result = command("export", str(run), "--format", name, "--to", name)
        assert result.status == 0, result.err
        assert sorted(path.name for path in Path(name).iterdir()) == files
        assert "109,386 parameters in" in result.out
        assert command("export", str(run), "--format", name, "--to", name).status == 0  # the same again
    assert sorted(path.name for path in run.iterdir()) == before
    assert Path("safetensors/model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    with np.load("npz/model.npz", allow_pickle=False) as arrays:
        again = network_from_spec(json.loads(str(arrays["architecture"])))
        for name, array in again.tensors().items():
            array[...] = arrays[name]
        assert json.loads(str(arrays["class_names"])) == list(class_names)
    assert np.array_equal(again.theta, network.theta)


@pytest.mark.parametrize(("form", "folds"), [("numpy", True), ("npz", False)])
def test_batch_normalisation_is_folded_where_the_computation_is_written_out(
    form: str, folds: bool, command: Command
) -> None:
    network = network_of(["flatten", {"dense": {"units": 7}}, "batchnorm", "tanh"])
    model_file.save_model(Path("model.safetensors"), network, NAMES)
    result = command("export", "model.safetensors", "--format", form, "--to", "out")
    assert result.status == 0, result.err
    # 130 x 7 + 7 and 7 x 10 + 10; batch normalisation adds gamma and beta
    assert f"{997 if folds else 1_011:,} parameters in" in result.out
    with np.load(next(Path("out").glob("*.npz")), allow_pickle=False) as arrays:
        assert any("batchnorm" in name for name in arrays) is not folds
    if folds:
        assert "batchnorm" not in Path("out/predict.py").read_text()
        images = images_for(network)
        np.save("images.npy", images)
        np.testing.assert_allclose(by_numpy(folded(network), images), network.predict(images), atol=TOLERANCE)


def test_without_a_folder_the_files_lie_under_outputs_by_the_name_of_the_run(
    command: Command, train: Callable[..., Path]
) -> None:
    run = train()
    assert command("export", str(run), "--format", "npz").status == 0
    assert Path("outputs", "export", run.name, "model.npz").is_file()


def test_a_format_of_one_file_can_be_given_the_name_of_the_file(command: Command) -> None:
    model_file.save_model(Path("run.safetensors"), network_of(["flatten"]), NAMES)
    for form, name in (("npz", "my.npz"), ("safetensors", "out/my.safetensors"), ("onnx", "model.onnx")):
        if form == "onnx":
            pytest.importorskip("onnx")
        result = command("export", "run.safetensors", "--format", form, "--to", name)
        assert result.status == 0, result.err
        assert Path(name).is_file()
        assert f"{name} (" in result.out
    assert command("export", "run.safetensors", "--format", "numpy", "--to", "my.npy").status == 0
    assert sorted(path.name for path in Path("my.npy").iterdir()) == ["predict.py", "weights.npz"]
    Path("folder.npz").mkdir()
    assert command("export", "run.safetensors", "--format", "npz", "--to", "folder.npz").status == 0
    assert Path("folder.npz/model.npz").is_file()


def test_the_three_lines_of_the_help_call_the_model(command: Command) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    network = network_of(["flatten"])
    model_file.save_model(Path("run.safetensors"), network, NAMES)
    assert command("export", "run.safetensors", "--format", "onnx", "--to", "model.onnx").status == 0
    help_text = command("export", "--help").out
    start = help_text.index("import onnxruntime")
    lines = [line.strip() for line in help_text[start:].splitlines()[:3]]
    found: dict[str, Any] = {"images": images_for(network)}
    exec("\n".join(lines), found)
    np.testing.assert_allclose(found["probabilities"], network.predict(images_for(network)), atol=TOLERANCE)


@pytest.mark.process
def test_predict_py_is_a_command(command: Command, train: Callable[..., Path]) -> None:
    run = train()
    assert command("export", str(run), "--format=numpy", "--to=out").status == 0
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    np.save("many.npy", images)
    np.save("one.npy", images[0])
    asked = [sys.executable, "-I", "out/predict.py"]
    said = processes.run([*asked, "many.npy", "one.npy"], capture_output=True, text=True, check=True).stdout
    network, names = model_file.load_model(run / "model.safetensors")
    expected = [f"{names[int(row.argmax())]} {row.max():.4f}" for row in network.predict(images)]
    assert said.splitlines() == [*expected, expected[0]]
    wrong = processes.run(asked, capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr) == (1, "usage: python predict.py images.npy [images.npy ...]\n")


def test_class_names_are_data_and_never_code(command: Command) -> None:
    names = ('"""', "__import__('os').system('touch owned')", "{0}", "\n", "\ud800", *NAMES[5:])
    model_file.save_model(Path("odd.safetensors"), network_of(["flatten"]), names)
    assert command("export", "odd.safetensors", "--format", "numpy", "--to", "out").status == 0
    text = Path("out/predict.py").read_text()
    assert not any(name in text for name in names[1:2])
    with np.load("out/weights.npz", allow_pickle=False) as arrays:
        assert tuple(json.loads(str(arrays["class_names"]))) == names


def test_the_written_code_is_short_and_has_only_what_the_network_needs() -> None:
    text = numpy_source.source(configured("mlp_2hidden"))
    assert "def conv" not in text
    assert "mnistlab" not in text.split("import json", 1)[1]
    assert max(map(len, text.splitlines())) <= 120
    assert len(text.splitlines()) < 90


# wrong requests


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN"], "missing option --format; choose one of onnx, numpy, npz, safetensors"),
        (["RUN", "--format", "onx"], "--format onx: choose one of onnx, numpy, npz, safetensors (did you mean onnx?)"),
        (["--format", "npz"], "missing argument RUN"),
        (["RUN", "RUN", "--format", "npz"], "got unexpected extra argument ("),
        (
            ["RUN", "--format", "npz", "--to", "RUN"],
            "this is inside the run, and run directories are never changed; choose another",
        ),
        (["RUN", "--format", "npz", "--to", "taken"], "taken/model.npz: already exists; remove it"),
        (["RUN", "--format", "npz", "--to", "file/x"], "Not a directory; choose another folder with --to"),
        (["gone", "--format", "npz"], "gone: no such run directory"),
        (["RUN", "--format", "npz", "--layout", "nchw"], "--layout nchw: only --format onnx has this option"),
        (
            ["RUN", "--format", "onnx", "--input", "int8"],
            "--input int8: choose one of uint8, float (did you mean uint8",
        ),
    ],
)
def test_a_wrong_request_is_one_line(command: Command, arguments: list[str], message: str) -> None:
    Path("run").mkdir()
    Path("taken").mkdir()
    Path("taken/model.npz").write_text("something else")
    Path("file").write_text("")
    write_status(Path("run"))
    model_file.save_model(Path("run/model.safetensors"), network_of(["flatten"]), NAMES)
    result = command("export", *("run" if word == "RUN" else word for word in arguments))
    assert result.status == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert Path("taken/model.npz").read_text() == "something else"


def test_without_the_package_onnx_the_cure_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    model_file.save_model(Path("model.safetensors"), network_of(["flatten"]), NAMES)
    result = command("export", "model.safetensors", "--format", "onnx", "--to", "out")
    assert result.status == 2
    assert "the package onnx is not installed; run pip install '.[onnx]' in a clone of mnistlab" in result.err
