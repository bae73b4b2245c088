"""`mnistlab predict`: photographs and scans as people have them, made like MNIST's images, and predicted."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import processes
from helpers.photographs import photograph
from PIL import Image

from mnistlab import cli
from mnistlab.data.formats import pictures as training
from mnistlab.data.formats.record import Options
from mnistlab.data.sources.bundled import Digits, Mnist5k
from mnistlab.inference.predict import image_io, preprocessing, segmentation
from mnistlab.inference.predict.image_io import Picture, UnreadableError
from mnistlab.inference.predict.preprocessing import MNIST, STYLES, Style, Way, prepare
from mnistlab.models import model_file
from mnistlab.nn.architectures import network_from_spec
from mnistlab.nn.network import Network

Command = Callable[..., Any]
SIZE = (28, 28)


def picture(grey: np.ndarray) -> Picture:
    return Picture(grey, grey.shape[1], grey.shape[0])


def seen(grey: np.ndarray, style: Style = MNIST, dark: bool | None = None, shape: tuple[int, int] = SIZE) -> np.ndarray:
    return prepare(picture(grey), shape, style, dark).image


def bar(shape: tuple[int, int] = (200, 300), paper: int = 230, pen: int = 40) -> np.ndarray:
    """A page with an upright stroke of 80 x 20 pixels off its centre."""
    page = np.full(shape, paper, np.uint8)
    page[20:100, 30:50] = pen
    return page


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Path]:
    """A run on the embedded digits, good enough to measure by."""
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTLAB_CACHE", str(shared_cache))
        patch.chdir(place)
        small = ["trainer.epochs=4", "trainer.batch_size=32", "report.plots=none", "report.console=quiet"]
        assert cli.dispatch(["train", *small, f"hydra.run.dir={place}/mlp"]) == 0
        yield place / "mlp"


@pytest.fixture(scope="module")
def digits(shared_cache: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """200 test images of every digit, and their labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTLAB_CACHE", str(shared_cache))
        test = Mnist5k().read().test
        yield test.images[::5], test.labels[::5]


# the whole: accuracy on photographs


@pytest.mark.slow
def test_photographs_are_predicted_as_well_as_the_images_they_were_made_from(
    mlp: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits
    rng = np.random.default_rng(0)
    prepared = np.stack([seen(photograph(image, rng)) for image in images])
    network, _ = model_file.load_model(mlp / "model.safetensors")
    original, of_photographs = (float((network.predict(x).argmax(1) == labels).mean()) for x in (images, prepared))
    assert original > 0.88
    assert of_photographs >= original - 0.03


def test_an_image_of_mnist_comes_back_from_its_photograph(digits: tuple[np.ndarray, np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    for image in digits[0][::10]:
        again = seen(photograph(image, rng)).astype(float)
        assert np.corrcoef(again.ravel(), image.ravel().astype(float))[0, 1] > 0.85


# MNIST's normalisation


def test_ink_is_as_long_as_twenty_pixels_and_its_mass_lies_at_the_centre() -> None:
    page = np.full((200, 300), 230, np.uint8)
    page[20:100, 30:46] = 40
    page[90:100, 30:82] = 40  # an L, whose mass is not in the middle of its box
    image = seen(page)
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    assert np.ptp(rows) + 1 == 20
    assert np.ptp(columns) + 1 == 13  # 52 / 80 of 20
    mass = image.astype(float)
    assert abs((mass.sum(1) @ np.arange(28)) / mass.sum() - 14) <= 0.5
    assert abs((mass.sum(0) @ np.arange(28)) / mass.sum() - 14) <= 0.5
    assert image.max() == 255
    assert (image[0] == 0).all()


@pytest.mark.parametrize("turn", [0, 1])
def test_the_longer_side_fits_the_box_whichever_it_is(turn: int) -> None:
    image = seen(np.rot90(bar(), turn).copy())
    assert sorted((image.any(0).sum(), image.any(1).sum())) == [5, 20]  # 20 / 80 of 20 is 5


def test_dark_on_light_and_light_on_dark_come_out_the_same() -> None:
    assert np.array_equal(seen(bar()), seen(255 - bar()))


@pytest.mark.parametrize(("dark", "right"), [(True, True), (False, False)])
def test_which_side_is_ink_can_be_said(dark: bool, right: bool) -> None:
    assert np.array_equal(seen(bar(), dark=dark), seen(bar())) is right


def test_light_that_falls_by_half_and_a_shadow_leave_only_the_ink() -> None:
    light = np.linspace(1, 0.5, 300)[None, :] * np.where(np.arange(200) < 120, 1, 0.8)[:, None]
    image = seen((bar() * light).astype(np.uint8))
    assert np.array_equal(image > 127, seen(bar()) > 127)


def test_specks_and_a_frame_at_the_edge_are_left_out() -> None:
    page = bar()
    page[150:153, 250:253] = 40  # a speck
    page[:, -12:] = 60  # the table beside the page
    assert np.array_equal(seen(page), seen(bar()))


def test_a_stroke_as_thin_as_a_hair_is_thickened() -> None:
    page = np.full((400, 400), 240, np.uint8)
    page[100:300, 200:202] = 20
    done = prepare(picture(page), SIZE, MNIST, None)
    assert done.done == "dark on light, thickened"
    assert 2 <= (done.image[14] > 127).sum() <= 3


def test_a_hair_across_a_large_picture_is_thickened_in_a_moment() -> None:
    page = np.full((1200, 1200), 240, np.uint8)
    page[40:1160, 600:602] = 20
    start = time.process_time()
    done = prepare(picture(page), SIZE, MNIST, None)
    assert time.process_time() - start < 5  # a dilation at full size takes a minute
    assert done.done == "dark on light, thickened"
    assert 2 <= (done.image[14] > 127).sum() <= 3


def test_an_image_of_the_networks_size_with_a_dark_rim_is_taken_as_it_is(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    done = prepare(picture(digits[0][3]), SIZE, MNIST, None)
    assert done.done == "unchanged"
    assert np.array_equal(done.image, digits[0][3])
    inverted = prepare(picture(255 - digits[0][3]), SIZE, MNIST, None)
    assert inverted.done.startswith("dark on light")


@pytest.mark.slow
def test_nearly_all_images_of_mnist_are_taken_as_they_are_and_its_accuracy_stays(mnist: Path, mlp: Path) -> None:
    from mnistlab.config import compose, schema

    test = schema.experiment(compose.compose(["data=mnist"])).data.read().test
    changed = {}
    for i, image in enumerate(test.images):
        done = prepare(picture(image), SIZE, MNIST, None)
        if done.done != "unchanged":
            changed[i] = done.image
    assert len(changed) <= 2
    network, _ = model_file.load_model(mlp / "model.safetensors")
    prepared = test.images.copy()
    for i, image in changed.items():
        prepared[i] = image
    before, after = (int((network.predict(x).argmax(1) == test.labels).sum()) for x in (test.images, prepared))
    assert abs(before - after) <= len(changed)


def drawing(margin: int) -> np.ndarray:
    """A seven of 28 x 28 with hard edges, light on dark, that leaves so many pixels at the sides."""
    image = np.zeros(SIZE, np.uint8)
    image[margin : margin + 3, margin : 28 - margin] = 255
    image[margin : 28 - margin, 25 - margin : 28 - margin] = 255
    return image


def test_a_drawing_of_the_networks_size_that_fills_the_frame_is_prepared() -> None:
    done = prepare(picture(drawing(1)), SIZE, MNIST, None)
    assert done.done == "light on dark"
    rows, columns = np.flatnonzero(done.image.any(1)), np.flatnonzero(done.image.any(0))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 20)


@pytest.mark.parametrize(
    ("change", "is_unchanged"),
    [
        (lambda image: image, True),
        (lambda image: np.roll(image, 2, axis=1), True),
        (lambda image: np.roll(image, 4, axis=1), False),  # off the centre
        (lambda image: np.where(image > 127, 255, 0), False),  # no grey at the edges
        (lambda image: np.asarray(Image.fromarray(image[2:26, 2:26]).resize((28, 28))), False),  # too large
    ],
)
def test_what_looks_like_mnist_is_decided_by_place_size_and_grey(
    digits: tuple[np.ndarray, np.ndarray], change: Callable[[np.ndarray], np.ndarray], is_unchanged: bool
) -> None:
    image = change(digits[0][3]).astype(np.uint8)
    assert (prepare(picture(image), SIZE, MNIST, None).done == "unchanged") is is_unchanged
    negative = prepare(picture(255 - image), SIZE, MNIST, None)
    assert (negative.done == "dark on light, unchanged") is is_unchanged


@pytest.mark.parametrize("width", [1, 3, 5, 9])  # two pixels have the distances 1, 1, as one has
def test_the_width_of_strokes_is_estimated(width: int) -> None:
    mask = np.zeros((200, 200), bool)
    mask[50:150, 60 : 60 + width] = True
    assert preprocessing.stroke_width(mask) == pytest.approx(width, rel=0.1)  # exact but for the ends of the stroke


def test_a_line_of_one_pixel_in_a_small_drawing_is_thickened() -> None:
    image = np.zeros(SIZE, np.uint8)
    image[1:27, 14] = 255
    done = prepare(picture(image), SIZE, MNIST, None)
    assert done.done == "light on dark, thickened"
    assert (done.image[14] > 127).sum() == 2


LEVEL = {
    "white": np.full((50, 60), 255, np.uint8),
    "black": np.zeros(SIZE, np.uint8),
    "a pixel": np.full((1, 1), 7, np.uint8),
    "a line": np.full((1, 300), 7, np.uint8),
}
PAPER = {
    "noise": np.random.default_rng(0).normal(200, 3, (300, 300)).astype(np.uint8),
    "light that falls": np.linspace(60, 220, 300 * 200).reshape(200, 300).astype(np.uint8),
}


@pytest.mark.parametrize(
    ("grey", "way"),
    [(LEVEL[name], way) for name in LEVEL for way in (Way.digit, Way.object)]
    + [(PAPER[name], Way.digit) for name in PAPER],
    ids=[f"{name}, {way}" for name in LEVEL for way in ("digit", "object")] + [*PAPER],
)
def test_a_picture_without_anything_in_it_is_refused(grey: np.ndarray, way: Way) -> None:
    with pytest.raises(UnreadableError, match=r"no ink|blank"):
        seen(grey, Style(way))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 3), (3, 3), (5, 900), (28, 28), (40, 7)])
def test_pictures_of_every_size_are_prepared_or_refused(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    for way in Way:
        grey = np.where(rng.random(shape) < 0.3, 20, 230).astype(np.uint8)
        try:
            assert seen(grey, Style(way)).shape == SIZE
        except UnreadableError:
            assert way is not Way.raw


# other data than MNIST


def test_every_named_dataset_has_a_style() -> None:
    from mnistlab.data.sources.published import catalogue

    assert {row["name"] for row in catalogue()} == set(STYLES)


def test_the_way_follows_from_the_data_of_the_run() -> None:
    ten = preprocessing.DIGITS
    assert preprocessing.style_of("fashion_mnist", ("a", "b"), SIZE).way is Way.object
    assert preprocessing.style_of("csv", ten, SIZE).way is Way.raw
    assert preprocessing.style_of(None, ten, SIZE) is MNIST  # a model alone
    assert preprocessing.style_of(None, ten, (8, 8)).way is Way.raw


def test_digits_of_8_by_8_are_stretched_to_eight_rows_and_six_columns() -> None:
    image = seen(bar(), STYLES["digits"], shape=(8, 8))
    assert image.any(1).all()
    assert image.any(0).tolist() == [False, *[True] * 6, False]
    assert Digits().read().test.images.any(axis=(0, 2)).all()


def test_an_object_keeps_its_grey_levels_and_fills_the_longer_side() -> None:
    page = np.full((200, 200), 250, np.uint8)
    page[50:150, 80:105] = 200
    page[50:100, 80:105] = 125
    image = seen(page, STYLES["fashion_mnist"])
    assert image.shape == SIZE
    assert image[:, 14].min() > 0  # from the upper edge to the lower
    assert image.any(0).sum() == 7  # 25 / 100 of 28
    assert image[3, 14] == pytest.approx(255 * 125 / 250, abs=2)  # as much darker as the page was light
    assert image[24, 14] == pytest.approx(255 * 50 / 250, abs=2)


def test_raw_only_resizes() -> None:
    grey = np.full((56, 56), 100, np.uint8)
    assert np.array_equal(seen(grey, Style(Way.raw)), np.full(SIZE, 100))
    assert np.array_equal(seen(grey, Style(Way.raw), dark=True), np.full(SIZE, 155))


# reading


def save(path: Path, image: Image.Image, **settings: Any) -> str:
    image.save(path, **settings)
    return str(path)


def test_the_turn_of_a_camera_is_undone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture was taken with the camera on its side
    lying = Image.fromarray(bar()).transpose(Image.Transpose.ROTATE_90)
    upright = image_io.read(save(Path("turned.png"), lying, exif=exif))
    assert np.array_equal(upright.grey, bar())
    assert (upright.height, upright.width) == (200, 300)


def test_sixteen_bits_become_eight() -> None:
    wide = Image.fromarray(bar().astype(np.uint16) * 257)
    assert np.array_equal(image_io.read(save(Path("wide.png"), wide)).grey, bar())


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (200, 200),
        (256, 64),
        (1023, 255),
        (4095, 255),
        (16_383, 255),
        (40_000, 40_000 >> 8),
        (65_535, 255),
        (65_536, 128),
        (2**31 - 1, 255),
    ],
)
def test_whole_numbers_of_32_bits_are_levels_of_255_or_of_as_many_bits_as_they_take(most: int, expected: int) -> None:
    levels = np.full((40, 40), -3, np.int32)
    levels[10:30, 10:30] = most
    found = image_io.read(save(Path("whole.tif"), Image.fromarray(levels))).grey
    assert (int(found[0, 0]), int(found[20, 20])) == (0, expected)


@pytest.mark.parametrize(("paper", "scale"), [(0.9, 1.0), (230.0, 1.0)])
def test_real_numbers_are_levels_of_one_or_of_255(paper: float, scale: float) -> None:
    levels = np.full((40, 40), paper, np.float32)
    found = image_io.read(save(Path("real.tiff"), Image.fromarray(levels))).grey
    assert int(found[0, 0]) == int(paper * (255 if paper < 1 else 1))


@pytest.mark.parametrize("pen", [0, 255], ids=["black on nothing", "white on nothing"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_paper(pen: int, mode: str) -> None:
    opaque = np.where(bar() < 128, 255, 0).astype(np.uint8)
    drawn = Image.fromarray(np.dstack([np.full_like(opaque, pen)] * 3 + [opaque]))
    image = image_io.read(save(Path("ink.png"), drawn.convert(mode)))
    assert np.array_equal(seen(image.grey), seen(bar()))


def encoded(image: Image.Image, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **settings)
    return buffer.getvalue()


@pytest.mark.parametrize("ink", [40, 120, 150, 220])
@pytest.mark.parametrize("pen", [0, 90, 255])
def test_transparent_pictures_lie_on_the_paper_of_training(ink: int, pen: int) -> None:
    colours = np.full((300, 40, 4), ink, np.uint8)
    colours[..., 3] = np.linspace(0, 255, 40).astype(np.uint8)
    colours[280:290, 10:20] = pen
    image = Image.fromarray(colours)
    trained, _ = training.decoded("ink.png", encoded(image))
    assert np.array_equal(image_io.read(save(Path("ink.png"), image)).grey, trained)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_pictures_of_every_depth_have_the_grey_levels_of_training(bits: int) -> None:
    levels = (np.arange(64 * 64).reshape(64, 64) * (2**bits - 1) // (64 * 64 - 1)).astype(np.uint16)
    stack = training.Stack(1, Options())
    stack.add("deep.png", encoded(Image.fromarray(levels)))
    assert np.array_equal(image_io.read(save(Path("deep.png"), Image.fromarray(levels))).grey, stack.done("")[0][0])


def test_heic_pictures_are_read_in_a_process_that_has_read_none_before() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(bar()).convert("RGB")).save("photo.heic")
    program = "from mnistlab.inference.predict import image_io; print(image_io.read('photo.heic').grey.shape)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "(200, 300)\n"


def test_a_heic_picture_names_the_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    Path("photo.heic").write_bytes(bytes(4) + b"ftypheic" + bytes(40))
    with pytest.raises(UnreadableError, match=r"^a HEIC picture: the package pillow-heif is not installed"):
        image_io.read("photo.heic")


def test_colour_becomes_grey_and_one_bit_is_enough() -> None:
    colour = Image.fromarray(np.dstack([bar(), bar(), bar()]))
    assert np.array_equal(image_io.read(save(Path("colour.bmp"), colour)).grey, bar())
    assert np.array_equal(
        seen(image_io.read(save(Path("bit.png"), colour.convert("1", dither=Image.Dither.NONE))).grey), seen(bar())
    )


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_large_picture_is_read_small_and_says_its_size(suffix: str) -> None:
    large = Image.fromarray(bar()).resize((6000, 4000))
    found = image_io.read(save(Path(f"large.{suffix}"), large))
    assert max(found.grey.shape) < 2 * image_io.WORKING_SIDE
    assert (found.height, found.width) == (4000, 6000)
    assert np.corrcoef(seen(found.grey).ravel(), seen(bar()).ravel())[0, 1] > 0.9


LARGE = {  # as many pixels as are accepted, in few bytes
    "RGBA": lambda size: Image.new("RGBA", size, (0, 0, 0, 128)),
    "F": lambda size: Image.new("F", size, 0.5),
}


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process from Linux's /proc")
@pytest.mark.parametrize("mode", LARGE)
def test_the_largest_pictures_of_every_kind_are_read_in_less_than_900_megabytes(mode: str) -> None:
    file = save(Path("large.tif"), LARGE[mode]((8191, 8191)), compression="tiff_deflate")
    code = "from mnistlab.inference.predict import image_io; print(image_io.read('large.tif').grey.shape[0]);"
    # not ru_maxrss, in which the process that started this one, with all that it has loaded, counts too
    code += "print(next(int(line.split()[1]) for line in open('/proc/self/status') if 'VmHWM' in line) // 2**10)"
    ended = processes.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    side, megabytes = map(int, ended.stdout.split())
    assert side == -(-8191 // (8191 // image_io.WORKING_SIDE))
    assert megabytes < 900
    assert Path(file).stat().st_size < 2**20


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("gone.png", None, "no such file"),
        ("empty.png", b"", "the file is empty"),
        ("text.png", b"seven", "cannot be read as a picture (UnidentifiedImageError); save it as PNG or JPEG"),
        ("a\0b.png", None, "no such file"),
    ],
)
def test_what_cannot_be_read_says_why(name: str, content: bytes | None, reason: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(UnreadableError) as caught:
        image_io.read(name)
    assert str(caught.value) == reason


def test_a_picture_that_claims_too_many_pixels_is_never_unpacked() -> None:
    content = io.BytesIO()
    Image.new("1", (1, 1)).save(content, "PNG")
    header = bytearray(content.getvalue())
    for size in (9000, 60000):
        header[16:24] = size.to_bytes(4, "big") * 2
        header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
        Path("bomb.png").write_bytes(header)
        with pytest.raises(UnreadableError, match=r"more than the maximum of 67,108,864"):
            image_io.read("bomb.png")
    save(Path("a.webp"), Image.new("L", (5800, 5800)), lossless=True, quality=0, method=0)
    with pytest.raises(UnreadableError, match=r"5,800 x 5,800 pixels are more than the maximum of 33,554,432"):
        image_io.read("a.webp")


# the command


def pictures(count: int = 3) -> list[str]:
    rng, names = np.random.default_rng(7), []
    digits = Mnist5k().read().test
    for i in range(count):
        k = (i * 101) % 1000
        names.append(f"{i}.png")
        Image.fromarray(photograph(digits.images[k], rng)).save(names[-1])
    return names


def test_a_table_has_a_row_a_picture(command: Command, mlp: Path) -> None:
    result = command("predict", str(mlp), *pictures())
    assert result.status == 0
    header, *rows = result.out.splitlines()
    assert header.split() == ["file", "class", "probability", "second", "probability", "read", "as"]
    assert [row.split()[0] for row in rows] == ["0.png", "1.png", "2.png"]
    assert all(row.endswith(("dark on light", "light on dark")) for row in rows)


def test_the_model_alone_is_enough(command: Command, mlp: Path) -> None:
    names = pictures()
    assert command("predict", str(mlp / "model.safetensors"), *names).out == command("predict", str(mlp), *names).out


def test_json_holds_every_probability(command: Command, mlp: Path) -> None:
    names = pictures()
    about = json.loads(command("predict", str(mlp), *names, "--json").out)
    assert about["classes"] == list("0123456789")
    assert (about["as"], about["failed"]) == ("digit", [])
    for name, row in zip(names, about["predictions"], strict=True):
        assert row["file"] == name
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["probabilities"][row["class"]] == row["probability"] == max(row["probabilities"].values())


def test_what_was_seen_is_drawn(command: Command, mlp: Path) -> None:
    result = command("predict", str(mlp), *pictures(), "--show", "seen.png")
    assert (result.status, result.err) == (0, "picture: seen.png\n")
    with Image.open("seen.png") as image:
        assert image.width > image.height
    assert Path("seen.txt").read_text().startswith("3 pictures as input to the network. 0.png: ")


def test_a_picture_that_cannot_be_read_stops_no_other(command: Command, mlp: Path) -> None:
    Path("broken.png").write_bytes(b"seven")
    one, two = pictures(2)
    result = command("predict", str(mlp), one, "broken.png", two, "gone.png")
    assert result.status == 1
    assert len(result.out.splitlines()) == 3
    assert result.err.splitlines() == [
        "mnistlab predict: broken.png: cannot be read as a picture (UnidentifiedImageError); save it as PNG or JPEG",
        "mnistlab predict: gone.png: no such file",
        "mnistlab predict: error: 2 of 4 pictures could not be classified; the reasons are above",
    ]


def test_a_name_that_is_too_long_stops_no_other(command: Command, mlp: Path) -> None:
    result = command("predict", str(mlp), *pictures(1), f"{'x' * 300}.png")
    assert result.status == 1
    assert len(result.out.splitlines()) == 2
    assert "xxx.png: cannot be read (File name too long)" in result.err


def test_the_picture_of_all_replaces_nothing_but_a_file(command: Command, mlp: Path) -> None:
    os.mkfifo("pipe.png")
    result = command("predict", str(mlp), *pictures(1), "--show", "pipe.png")
    assert result.status == 2
    assert "--show pipe.png: not a file; choose another name" in result.err
    assert Path("pipe.png").is_fifo()


def test_one_picture_comes_from_standard_input(command: Command, mlp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = pictures(1)
    with Path(name).open("rb") as file:
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": file}))
        result = command("predict", str(mlp), "-")
    assert result.status == 0
    from_file = command("predict", str(mlp), name)
    assert result.out.split()[8:] == from_file.out.split()[8:]  # all but the name
    assert result.out.splitlines()[1].startswith("-")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN"], "missing argument PICTURE; see `mnistlab predict --help`"),
        (["--as", "digit"], "missing argument RUN"),
        (
            ["RUN", "a.png", "--as", "digits"],
            "--as digits: choose one of auto, digit, object, raw (did you mean digit?)",
        ),
        (["RUN", "a.png", "--invert=maybe"], "--invert maybe: choose one of auto, yes, no"),
        (
            ["RUN", "a.png", "--show", "x.jpg"],
            "--show x.jpg: the picture is written as a PNG, so its name must end in .png",
        ),
        (["RUN", "a.png", "--show", "no/x.png"], "--show no/x.png: there is no folder no; create it"),
        (["RUN", "a.png", "--shw", "x.png"], "--shw: no such option (did you mean --show?)"),
        (["RUN", "-", "-"], "-: standard input is a single picture; name it once"),
        (["RUN", "nothing"], "nothing: this folder contains no pictures"),
        (["gone", "a.png"], "gone: no such run directory"),
    ],
)
def test_a_wrong_request_is_one_line(command: Command, mlp: Path, arguments: list[str], message: str) -> None:
    Path("nothing").mkdir()
    result = command("predict", *(str(mlp) if word == "RUN" else word for word in arguments))
    assert result.status == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_models_of_scikit_learn_are_not_saved_and_say_so(command: Command, train: Callable[..., Path]) -> None:
    run = train("model=knn")
    result = command("predict", str(run), *pictures(1))
    assert result.status == 2
    assert "scikit-learn models are not saved, because that would need pickle" in result.err


def test_a_network_that_overflows_is_named(command: Command) -> None:
    network: Network = network_from_spec(
        {
            "layers": ["flatten", {"dense": {"units": 10}}],
            "image_shape": [28, 28],
            "classes": 10,
            "loss": "cross_entropy",
            "output": "softmax",
            "label_smoothing": 0.0,
            "shift": 0.0,
            "scale": 1.0,
        }
    )
    network.theta[:] = 3e38
    model_file.save_model(Path("huge.safetensors"), network, tuple("0123456789"))
    result = command("predict", "huge.safetensors", *pictures(1))
    assert result.status == 1
    assert "the network overflows on these pictures; the model cannot be used, train it again" in result.err


def test_otsu_parts_two_heaps() -> None:
    # 90 values around 10 and 10 around 100: any threshold between them maximises the variance between the classes
    values = np.concatenate([np.linspace(9, 11, 90), np.linspace(99, 101, 10)])
    threshold, contrast = segmentation.otsu(values)
    assert 11 <= threshold <= 99
    assert contrast == pytest.approx(90, abs=0.5)
