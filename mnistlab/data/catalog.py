"""The published datasets in IDX files: their contents and where to download them.

Hashes: SHA-256 of the uncompressed files where available, since compressed bytes differ from mirror to mirror;
otherwise the MD5 of the compressed files from torchvision's ``datasets/mnist.py``.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field

MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DIGITS = tuple(string.digits)


@dataclass(frozen=True)
class Named:
    """A published dataset.

    ``files`` are the names, without .gz, of the training images and labels and the test images and labels. ``mirrors``
    are the addresses of folders with the files, or of zip archives if there is an ``archive_md5``.
    """

    what: str
    folder: str
    train: int
    test: int
    class_names: tuple[str, ...]
    download: int  # bytes
    mirrors: tuple[str, ...]
    files: tuple[str, str, str, str] = MNIST_FILES
    sha256: dict[str, str] = field(default_factory=dict)
    md5: dict[str, str] = field(default_factory=dict)
    archive_md5: str | None = None
    archive_folder: str = ""
    first_label: int = 0
    transposed: bool = False
    image_shape: tuple[int, int] = (28, 28)
    torchvision: str = ""  # the folder that torchvision gives it, with the files in its folder raw


def _emnist(split: str, about: str, train: int, test: int, class_names: tuple[str, ...], first_label: int = 0) -> Named:
    return Named(
        what=about,
        folder="emnist",
        torchvision="EMNIST",
        train=train,
        test=test,
        class_names=class_names,
        download=561_753_746,
        mirrors=(
            "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
        ),
        files=(
            f"emnist-{split}-train-images-idx3-ubyte",
            f"emnist-{split}-train-labels-idx1-ubyte",
            f"emnist-{split}-test-images-idx3-ubyte",
            f"emnist-{split}-test-labels-idx1-ubyte",
        ),
        archive_md5="58c8d27c78d21e728a6bc7b3cc06412e",
        archive_folder="gzip/",
        first_label=first_label,
        transposed=True,
    )


REGISTRY = {
    "mnist": Named(
        what="handwritten digits (LeCun et al. 1998)",
        folder="mnist",
        torchvision="MNIST",
        train=60_000,
        test=10_000,
        class_names=DIGITS,
        download=11_594_722,
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
        sha256={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion_mnist": Named(
        what="pictures of clothes (Xiao, Rasul, Vollgraf 2017)",
        folder="fashion-mnist",
        torchvision="FashionMNIST",
        train=60_000,
        test=10_000,
        class_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        download=30_878_645,
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        sha256={
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    "kmnist": Named(
        what="cursive hiragana (Clanuwat et al. 2018)",
        folder="kmnist",
        torchvision="KMNIST",
        train=60_000,
        test=10_000,
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        download=21_200_000,
        mirrors=(
            "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        ),
        md5={
            "train-images-idx3-ubyte": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte": "7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
    "emnist_balanced": _emnist(
        "balanced", "digits and letters, 47 classes (Cohen et al. 2017)", 112_800, 18_800,
        (*DIGITS, *string.ascii_uppercase, *"abdefghnqrt"),
    ),
    "emnist_digits": _emnist("digits", "digits, equally many of each (Cohen et al. 2017)", 240_000, 40_000, DIGITS),
    "emnist_letters": _emnist(
        "letters", "letters, upper and lower case merged (Cohen et al. 2017)", 124_800, 20_800,
        tuple(string.ascii_uppercase), first_label=1,
    ),
    "emnist_byclass": _emnist(
        "byclass", "digits and letters, 62 classes, as often as written (Cohen et al. 2017)", 697_932, 116_323,
        (*DIGITS, *string.ascii_uppercase, *string.ascii_lowercase),
    ),
    "emnist_bymerge": _emnist(
        "bymerge", "digits and letters, 47 classes, as often as written (Cohen et al. 2017)", 697_932, 116_323,
        (*DIGITS, *string.ascii_uppercase, *"abdefghnqrt"),
    ),
    "emnist_mnist": _emnist("mnist", "digits in the form of MNIST (Cohen et al. 2017)", 60_000, 10_000, DIGITS),
}  # fmt: skip
