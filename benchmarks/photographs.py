"""How accurate `mnistlab predict` is on photographs of digits: a set of pictures that nobody took, and a table.

    python benchmarks/photographs.py make FOLDER [--part test] [--count 60] [--seed 0] [--data mnist]
    python benchmarks/photographs.py measure FOLDER RUN [RUN ...] [--results results]

``make`` draws digits of MNIST into pages, as PNG and JPEG files in FOLDER/KIND/ANSWER/: thin and thick pens, uneven
light, noise, shadows, ruled and squared paper, frames, a table around the page, screens, small drawings, and several
digits. The same seed gives the same pictures. The digits are those of the test part, so that models never saw them;
rules and settings are chosen on ``--part train --seed 1``. ``measure`` predicts all pictures, as
`mnistlab predict RUN FOLDER/KIND` does, and writes results/photographs.md.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from mnistlab.config import compose, schema
from mnistlab.data.dataset import Split
from mnistlab.inference.predict import inputs, pipeline, preprocessing, results
from mnistlab.metrics.classification import wilson
from mnistlab.runs.saved_run import open_run
from mnistlab.system.errors import RequestError, fail

HERE = Path(__file__).resolve().parent
Rng = np.random.Generator


@dataclass
class Scene:
    """A page being drawn: ink from 0 to 1 (h, w), the colours of paper and ink (3,), and its light (h, w)."""

    ink: np.ndarray
    paper: np.ndarray
    pen: np.ndarray
    light: np.ndarray
    noise: float

    def picture(self, rng: Rng) -> np.ndarray:
        """Return the colours (h, w, 3) uint8."""
        colours = self.paper + (self.pen - self.paper) * self.ink[..., None]
        grain = rng.normal(0, self.noise, self.ink.shape) + ndimage.gaussian_filter(
            rng.normal(0, 3 * self.noise, self.ink.shape), 2
        )
        return np.clip(colours * self.light[..., None] + grain[..., None], 0, 255).astype(np.uint8)


def strokes(digit: np.ndarray, side: int, width: float | None, angle: float) -> np.ndarray:
    """Return a digit of 28 x 28 drawn large, with its own strokes or with a pen of ``width`` pixels, from 0 to 1."""
    large = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC).rotate(angle), float)
    smooth = ndimage.gaussian_filter(large / 255, side / 60)
    if width is None:
        return np.clip((smooth - 0.4) * side / 8 + 0.5, 0, 1)
    depth = ndimage.distance_transform_edt(smooth > 0.4)
    middle = (depth > 0) & (depth >= ndimage.maximum_filter(depth, 3) - 0.6)  # the path of the pen
    return np.clip(width / 2 + 0.5 - ndimage.distance_transform_edt(~middle), 0, 1)


def light(rng: Rng, h: int, w: int, most: float = 0.4) -> np.ndarray:
    """Return light that falls across the page, with a bright spot."""
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    across, down, spot = rng.uniform(-most / 2, most / 2), rng.uniform(-most / 2, most / 2), rng.uniform(0, 0.2)
    cy, cx = rng.uniform(-1, 1, 2)
    level = 1 - most / 2 + across * x + down * y + spot * np.exp(-((y - cy) ** 2) - (x - cx) ** 2)
    return np.asarray(level / max(1.0, level.max()))


def page(rng: Rng, digit: np.ndarray, pen: tuple[float, float] | None = (0.03, 0.09), margin: float = 0.03) -> Scene:
    """Return a page with one digit of a quarter to nearly all of it; ``pen`` by the digit's side, None: MNIST's own."""
    h, w = (int(side) for side in rng.integers(220, 900, 2))
    side = int(rng.uniform(0.3, 0.9) * min(h, w))
    width = None if pen is None else max(1.5, side * rng.uniform(*pen))
    drawn = strokes(digit, side, width, rng.uniform(-8, 8))
    ink = np.zeros((h, w))
    top = int(rng.uniform(margin * h, max(margin * h, h - side - margin * h)))
    left = int(rng.uniform(margin * w, max(margin * w, w - side - margin * w)))
    part = ink[top : top + side, left : left + side]
    part[:] = drawn[: part.shape[0], : part.shape[1]]
    paper = rng.uniform(195, 250) * np.array([1, rng.uniform(0.95, 1), rng.uniform(0.85, 1)])
    colour = rng.uniform(10, 60) * np.ones(3) + [0, 0, rng.choice([0, 0, 90])]
    return Scene(ink, paper, colour, light(rng, h, w), rng.uniform(0.5, 5))


def marker(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """A thick felt-tip pen on paper."""
    return page(rng, digit, None).picture(rng)


def pen(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """A thin pen on paper."""
    return page(rng, digit, (0.015, 0.05)).picture(rng)


def _pencil(rng: Rng, digit: np.ndarray) -> Scene:
    scene = page(rng, digit, (0.02, 0.05))
    scene.pen = scene.paper * rng.uniform(0.45, 0.72)
    scene.ink = scene.ink * np.clip(1 + rng.normal(0, 0.25, scene.ink.shape), 0.4, 1)  # graphite leaves gaps
    return scene


def pencil(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """Grey graphite with gaps."""
    return _pencil(rng, digit).picture(rng)


def shadow(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """A shadow with a soft or sharp edge falls on the page."""
    scene = page(rng, digit)
    h, w = scene.ink.shape
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    edge = (np.cos(turn) * x + np.sin(turn) * y - rng.uniform(-0.5, 0.5)) / rng.uniform(0.05, 0.4)
    scene.light *= 1 - rng.uniform(0.25, 0.5) / (1 + np.exp(-np.clip(edge, -50, 50)))
    return scene.picture(rng)


def _rules(rng: Rng, scene: Scene, directions: int) -> None:
    """Draw lines at one distance over the page, in the other colour that printed lines have."""
    h, w = scene.ink.shape
    y, x = np.mgrid[0:h, 0:w].astype(float)
    tilt, distance, width = (
        np.tan(np.radians(rng.uniform(-3, 3))),
        rng.uniform(0.12, 0.3) * min(h, w),
        rng.uniform(1, 3),
    )
    level = rng.uniform(0.25, 0.8)
    for place in (y + tilt * x, x - tilt * y)[:directions]:
        off = np.abs((place + rng.uniform(0, distance)) % distance - distance / 2)
        scene.ink = np.maximum(scene.ink, level * np.clip(width / 2 + 0.5 - off, 0, 1))


def ruled(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """Ruled paper, a little tilted."""
    scene = page(rng, digit)
    _rules(rng, scene, 1)
    return scene.picture(rng)


def squared(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """Squared paper, a little tilted."""
    scene = page(rng, digit)
    _rules(rng, scene, 2)
    return scene.picture(rng)


def frame(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """A black frame around the digit, of pencil in every other picture, at the edge or inside the picture."""
    scene = _pencil(rng, digit) if rng.random() < 0.5 else page(rng, digit)
    thick, gap = (max(2, int(rng.uniform(*shares) * min(scene.ink.shape))) for shares in ((0.008, 0.05), (0.02, 0.08)))
    outer = int(rng.choice([0, rng.uniform(0.02, 0.1) * min(scene.ink.shape)]))
    spaces = thick + gap
    padded = np.pad(scene.ink, spaces + outer)
    depth = np.minimum.outer(*(np.minimum(np.arange(n), np.arange(n)[::-1]) for n in padded.shape))
    drawn = (depth >= outer) & (depth < outer + thick)
    black = scene.paper * 0.08
    picture = Scene(padded, scene.paper, scene.pen, light(rng, *padded.shape), scene.noise).picture(rng)
    picture[drawn] = np.clip(black + rng.normal(0, 2, (int(drawn.sum()), 1)), 0, 255)
    return picture


def table(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """The page lies on a darker table, turned by up to six degrees."""
    scene = page(rng, digit)
    sheet = Image.fromarray(scene.picture(rng))
    h, w = scene.ink.shape
    wood = rng.uniform(0.15, 0.5) * scene.paper
    out = np.ones((int(h * rng.uniform(1.1, 1.4)), int(w * rng.uniform(1.1, 1.4)), 3)) * wood
    out += ndimage.gaussian_filter(rng.normal(0, 30, out.shape[:2]), (1, 30))[..., None]
    desk = Image.fromarray(np.clip(out, 0, 255).astype(np.uint8))
    angle = rng.uniform(-6, 6)
    turned, shape = sheet.rotate(angle, expand=True), Image.new("L", sheet.size, 255).rotate(angle, expand=True)
    desk.paste(turned, ((desk.width - turned.width) // 2, (desk.height - turned.height) // 2), shape)
    return np.asarray(desk)


def edge(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """The picture is cut close around the digit."""
    scene = page(rng, digit)
    rows, columns = np.flatnonzero(scene.ink.max(1) > 0.5), np.flatnonzero(scene.ink.max(0) > 0.5)
    cut = [int(rng.integers(1, 12)) for _ in range(4)]
    part = np.s_[max(0, rows[0] - cut[0]) : rows[-1] + cut[1], max(0, columns[0] - cut[2]) : columns[-1] + cut[3]]
    return Scene(scene.ink[part], scene.paper, scene.pen, scene.light[part], scene.noise).picture(rng)


def screen(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """A photograph of a screen: light on dark, with the lines of its pixels, in every other picture with its rim."""
    scene = page(rng, digit, None)
    scene.paper, scene.pen = rng.uniform(5, 70) * np.ones(3), rng.uniform(150, 250) * np.ones(3)
    y, x = np.mgrid[0 : scene.ink.shape[0], 0 : scene.ink.shape[1]]
    scene.light *= 1 - 0.08 * np.cos(y * rng.uniform(0.5, 2.5)) - 0.08 * np.cos(x * rng.uniform(0.5, 2.5) + y * 0.05)
    picture = scene.picture(rng)
    if rng.random() < 0.5:
        rim = int(rng.uniform(0.05, 0.15) * min(picture.shape[:2]))
        picture = np.pad(picture, ((rim, rim), (rim, rim), (0, 0)), constant_values=int(rng.uniform(170, 240)))
    return picture


def small(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """A drawing of 28 to 48 pixels that fills the frame, with hard or soft edges, in either polarity."""
    side = int(rng.integers(28, 49)) if rng.random() < 0.5 else 28
    drawn = strokes(digit, 280, rng.uniform(10, 40), rng.uniform(-8, 8))
    rows, columns = np.flatnonzero(drawn.max(1) > 0.5), np.flatnonzero(drawn.max(0) > 0.5)
    tight = Image.fromarray((255 * drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).astype(np.uint8))
    tight.thumbnail((side - 2, side - 2), Image.Resampling.LANCZOS)
    out = Image.new("L", (side, side))
    out.paste(tight, ((side - tight.width) // 2, (side - tight.height) // 2))
    grey = np.asarray(out)
    if rng.random() < 0.5:
        grey = np.where(grey > 90, 255, 0).astype(np.uint8)
    return grey if rng.random() < 0.5 else 255 - grey


def transparent(rng: Rng, digit: np.ndarray) -> np.ndarray:
    """Ink on a transparent background."""
    scene = page(rng, digit)
    colour = np.broadcast_to(rng.choice([0, 30, 255]), (*scene.ink.shape, 3))
    return np.dstack([colour, 255 * scene.ink]).astype(np.uint8)


def _row(rng: Rng, digits: Sequence[np.ndarray], side: int, width: float) -> np.ndarray:
    """Return digits beside each other, each a little larger or smaller, higher or lower."""
    tiles = []
    for digit in digits:
        drawn = strokes(digit, int(side * rng.uniform(0.85, 1.1)), width, rng.uniform(-6, 6))
        columns = np.flatnonzero(drawn.max(0) > 0.2)
        drawn = drawn[:, columns[0] : columns[-1] + 1]
        above = int(rng.integers(0, max(1, int(1.2 * side) - drawn.shape[0])))
        below = max(0, int(1.2 * side) - drawn.shape[0] - above)
        tiles.append(np.pad(drawn, ((above, below), (0, int(side * rng.uniform(0.12, 0.4)))))[: int(1.2 * side)])
    return np.concatenate(tiles, axis=1)


def _written(rng: Rng, lines: Sequence[Sequence[np.ndarray]], side: int) -> np.ndarray:
    width = max(2.0, side * rng.uniform(0.04, 0.12))
    rows = [_row(rng, line, side, width) for line in lines]
    across = max(row.shape[1] for row in rows)
    ink = np.concatenate([np.pad(row, ((0, int(0.3 * side)), (0, across - row.shape[1]))) for row in rows])
    ink = np.pad(ink, [(int(rng.uniform(0.2, 0.6) * side), int(rng.uniform(0.2, 0.6) * side)) for _ in range(2)])
    paper = rng.uniform(195, 250) * np.array([1, rng.uniform(0.95, 1), rng.uniform(0.85, 1)])
    scene = Scene(ink, paper, rng.uniform(10, 60) * np.ones(3), light(rng, *ink.shape), rng.uniform(0.5, 4))
    return scene.picture(rng)


ONE: dict[str, Callable[[Rng, np.ndarray], np.ndarray]] = {
    "marker": marker, "pen": pen, "pencil": pencil, "shadow": shadow, "ruled": ruled, "squared": squared,
    "frame": frame, "table": table, "edge": edge, "screen": screen, "small": small, "transparent": transparent,
    "turned": pen,
}  # fmt: skip
SEVERAL = ("several", "sheet")
TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def make(folder: Path, digits: Split, count: int, seed: int) -> None:
    """Write ``count`` pictures of every kind; of several digits a third of that."""
    for k, kind in enumerate((*ONE, *SEVERAL)):
        for i in range(count if kind in ONE else max(1, count // 3)):
            rng = np.random.default_rng([seed, k, i])
            lines = [1] if kind in ONE else [int(rng.integers(2, 7))]
            if kind == "sheet":
                lines = [int(n) for n in rng.integers(3, 9, int(rng.integers(2, 6)))]
            rows = [rng.integers(0, len(digits), n) for n in lines]
            answer = " ".join("".join(str(digits.labels[j]) for j in row) for row in rows)
            place = folder / kind / answer
            place.mkdir(parents=True, exist_ok=True)
            if kind in ONE:
                picture = Image.fromarray(ONE[kind](rng, digits.images[rows[0][0]]))
            else:
                picture = Image.fromarray(
                    _written(rng, [digits.images[row] for row in rows], int(rng.integers(60, 160)))
                )
            save(picture, place / f"{i:03}", kind, rng)


def save(picture: Image.Image, path: Path, kind: str, rng: Rng) -> None:
    """Write a picture as PNG, or as JPEG of any quality; a turned one has the turn in its EXIF data."""
    if kind == "turned":
        turn = int(rng.choice([*TURNS]))
        exif = Image.Exif()
        exif[0x0112] = turn
        picture.transpose(TURNS[turn]).save(path.with_suffix(".jpg"), quality=85, exif=exif)
    elif kind in ("small", "transparent") or rng.random() < 0.3:
        picture.save(path.with_suffix(".png"))
    else:
        picture.save(path.with_suffix(".jpg"), quality=int(rng.integers(35, 95)))


def measure(folder: Path, places: Sequence[str]) -> str:
    """Return the accuracy of runs on every kind as a table in Markdown."""
    runs = [open_run(place) for place in places]
    kinds = [kind for kind in (*ONE, *SEVERAL) if (folder / kind).is_dir()]
    totals = [[0, 0] for _ in runs]
    lines = [f"| kind | pictures | {' | '.join(run.directory.absolute().name for run in runs)} |"]
    lines.append("|---" * (2 + len(runs)) + "|")
    for kind in kinds:
        pictures = inputs.expand([str(folder / kind)])
        cells = []
        for run, total in zip(runs, totals, strict=True):
            predicted, _ = pipeline.predict(run, pictures, preprocessing.style_of_run(run, "auto"), None)
            scores = results.measure(predicted, run.class_names)
            right = scores.n - len(scores.mistakes) if scores else 0
            cells.append(text(right, len(pictures)))
            if kind in ONE:
                total[0], total[1] = total[0] + right, total[1] + len(pictures)
        lines.append(f"| {kind} | {len(pictures)} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    lines.append(f"| all of one digit | {totals[0][1]} | {' | '.join(itertools.starmap(text, totals))} |")
    return "\n".join(lines) + "\n"


def text(right: int, n: int) -> str:
    """Return the accuracy in percent with its interval; a picture that cannot be read is a mistake."""
    low, high = wilson(right, n)
    return f"{100 * right / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the pictures, or measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("folder", type=Path)
    making.add_argument("--part", choices=("train", "test"), default="test")
    making.add_argument("--count", type=int, default=60)
    making.add_argument("--seed", type=int, default=0)
    making.add_argument("--data", choices=("mnist", "mnist5k"), default="mnist")
    measuring = commands.add_parser("measure")
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("runs", nargs="+")
    measuring.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    try:
        if options.command == "make":
            pool = schema.experiment(compose.compose([f"data={options.data}"])).data.read()
            make(options.folder, getattr(pool, options.part), options.count, options.seed)
            return
        page = measure(options.folder, options.runs)
    except RequestError as error:
        fail("photographs", str(error))
        sys.exit(2)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "photographs.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
