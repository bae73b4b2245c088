"""Pages in a real browser: no complaints, no requests, and all can be read on a phone and in the dark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from helpers import browser
from helpers.browser import Browser
from PIL import Image

from mnistlab import cli

PROGRAM = browser.found()
pytestmark = [
    *(pytest.mark.slow, pytest.mark.browser, pytest.mark.process),
    pytest.mark.skipif(not PROGRAM, reason="needs a browser: apt-get install chromium"),
]

PAGES = ("run", "forest", "sweep", "sweep/0_optimizer.lr=0.1,init=random")
LIGHT, DARK = (255, 255, 255), (20, 23, 27)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """The page of a network with long names, one of scikit-learn's, and one of a sweep with a job that fails."""
    place = tmp_path_factory.mktemp("pages")
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTLAB_CACHE", str(shared_cache))
        patch.chdir(place)
        rng = np.random.default_rng(0)
        np.savez("own.npz", images=rng.integers(0, 256, (300, 28, 28), np.uint8), labels=np.arange(300) % 3)
        names = "data.class_names=[" + ",".join(f"{'long' * 12}{i}" for i in range(3)) + "]"
        own = ["data=npz", "data.path=own.npz", "data.test=0.3", "data.classes=3", names]
        cnn = ["model=lenet5", "model.layers.0.conv.filters=8", "trainer.epochs=1", "report.plots=all"]
        assert cli.dispatch(["train", *own, *cnn, "hydra.run.dir=run", "-q"]) == 0
        assert cli.dispatch(["train", "experiment=smoke", "model=random_forest", "hydra.run.dir=forest", "-q"]) == 0
        sweep = ["optimizer=sgd", "optimizer.lr=0.1,1e30", "init=random,kaiming", "hydra/launcher=basic"]
        small = ["experiment=smoke", "trainer.epochs=1", "data.limit=200", "hydra.sweep.dir=sweep"]
        assert cli.dispatch(["train", "-m", *small, *sweep]) == 1
    for name in set(os.environ) - set(before):
        del os.environ[name]
    return place


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert PROGRAM
    with browser.started(PROGRAM, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("name", PAGES)
def test_a_page_complains_of_nothing_and_asks_for_nothing_else(made: Path, window: Browser, name: str) -> None:
    path = made / name / "report.html"
    window.open(path, 1280)
    assert window.complaints == []
    assert window.requests == [path.as_uri()]
    assert window.value("document.scripts.length") == 0
    assert window.value("[...document.images].every(i => i.complete && i.naturalWidth > 100)")
    assert window.value("document.images.length") > 1
    assert window.value("document.compatMode") == "CSS1Compat"


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_window(made: Path, window: Browser, name: str, width: int) -> None:
    window.open(made / name / "report.html", width)
    assert window.value("document.documentElement.scrollWidth") <= width
    assert window.value("innerWidth") == width


SCROLLED = """[...document.querySelectorAll('.scroll, .card')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => {
    const hint = e.previousElementSibling;
    return !!hint && hint.classList.contains('hint') && getComputedStyle(hint).display != 'none' })"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1280])
def test_what_scrolls_sideways_says_so(made: Path, window: Browser, name: str, width: int) -> None:
    window.open(made / name / "report.html", width)
    hints = window.value(SCROLLED)
    assert all(hints)
    assert bool(hints) == (width == 390)


@pytest.mark.parametrize("name", PAGES)
def test_text_and_pictures_are_large_enough_on_a_phone(made: Path, window: Browser, name: str) -> None:
    window.open(made / name / "report.html", 390)
    texts = "[...document.querySelectorAll('p, td, th, dt, dd, li, summary')]"
    assert window.value(f"Math.min(...{texts}.map(e => parseFloat(getComputedStyle(e).fontSize)))") >= 13
    assert window.value("Math.min(...[...document.images].map(i => i.width / i.naturalWidth))") >= 0.69


@pytest.mark.parametrize(("scheme", "colour"), [("light", LIGHT), ("dark", DARK)])
def test_it_follows_light_and_dark_and_pictures_stay_on_white(
    made: Path, window: Browser, tmp_path: Path, scheme: str, colour: tuple[int, int, int]
) -> None:
    window.open(made / "run" / "report.html", 1000, scheme=scheme)
    window.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
        assert image.getpixel((2, 2))[:3] == colour  # type: ignore[index]
    assert (pixels == LIGHT).all(axis=1).mean() > 0.05
    assert len(np.unique(pixels[::97], axis=0)) > 20  # there is something to see
    assert window.value("getComputedStyle(document.querySelector('.card')).backgroundColor") == "rgb(255, 255, 255)"


def test_text_has_contrast_in_light_and_dark(made: Path, window: Browser) -> None:
    """WCAG 2.1, 1.4.3: a contrast of 4.5 at least."""
    for scheme in ("light", "dark"):
        window.open(made / "sweep" / "report.html", 1000, scheme=scheme)
        back = luminance(window.value("getComputedStyle(document.body).backgroundColor"))
        for place in ("body", ".kicker", "a", ".bad", "footer"):
            text = luminance(window.value(f"getComputedStyle(document.querySelector('{place}')).color"))
            assert (max(text, back) + 0.05) / (min(text, back) + 0.05) >= 4.5, (scheme, place)


def luminance(colour: str) -> float:
    channels = np.array([int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("name", PAGES)
def test_it_prints(made: Path, window: Browser, name: str) -> None:
    window.open(made / name / "report.html", 1000, scheme="dark")
    printed = window.pdf()
    assert printed.startswith(b"%PDF-")
    assert len(printed) > 20_000


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_has_a_text_and_every_link_leads_somewhere(made: Path, window: Browser, name: str) -> None:
    window.open(made / name / "report.html", 1000)
    assert window.value("[...document.images].every(i => i.alt.length > 20)")
    for address in window.value("[...document.links].map(a => a.href)"):
        assert address.startswith("file://")
        assert Path(unquote(address.partition("#")[0].removeprefix("file://"))).is_file(), address
