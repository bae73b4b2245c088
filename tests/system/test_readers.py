"""The readers of saved files: what they return, and that whatever is wrong with a file is one kind of error."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistlab.config import safe_yaml
from mnistlab.system import readers, tensors
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import NotAFileError, TooLargeError, UnreadableError


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def read_tensors(path: Path) -> Any:
    """Read as the others do: what is wrong with a model or a checkpoint is said to the user at once."""
    try:
        return tensors.read(path)
    except RequestError as error:
        raise UnreadableError(path, error) from None


A = np.arange(3)
KINDS: dict[str, tuple[Callable[[Path], Any], bytes, Any]] = {  # reader, a sound file, what it returns
    "bytes": (readers.read_bytes, b"\xff\r\n", b"\xff\r\n"),
    "text": (readers.read_text, "größe\r\n".encode(), "größe\r\n"),
    "JSON": (readers.read_json, '{"a": ["größe", 1.5, null]}'.encode(), {"a": ["größe", 1.5, None]}),
    "YAML": (safe_yaml.load, "a: [größe, 1.5, null]".encode(), {"a": ["größe", 1.5, None]}),
    "rows": (
        readers.read_rows,
        'class,n\r\n"a,\nb",1\ngröße\n'.encode(),
        [{"class": "a,\nb", "n": "1"}, {"class": "größe", "n": ""}],
    ),
    "table": (
        lambda path: readers.read_table(path).to_dict("list"),
        "class,n\ngröße,1\n".encode(),
        {"class": ["größe"], "n": [1]},
    ),
    "arrays": (lambda path: {k: v.tolist() for k, v in readers.read_arrays(path).items()}, npz(a=A), {"a": [0, 1, 2]}),
    "tensors": (
        lambda path: (lambda about, arrays: (about, arrays["a"].tolist()))(*read_tensors(path)),
        tensors.as_bytes({"a": A}, {"name": "größe"}),
        ({"name": "größe"}, [0, 1, 2]),
    ),
}
OF_TEXT = {"text", "JSON", "YAML", "rows", "table"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_read_also_through_a_link(kind: str, tmp_path: Path) -> None:
    read, content, value = KINDS[kind]
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "link").symlink_to("file")
    assert read(tmp_path / "file") == read(tmp_path / "link") == value


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def broken_link(path: Path) -> None:
    path.symlink_to("gone")


def forbidden(path: Path) -> None:
    path.touch(mode=0)


def huge(path: Path) -> None:
    """Make a file with a size and nothing in it."""
    with path.open("wb") as file:
        file.truncate(2**35)


OBSTACLES: dict[Callable[[Path], Any], type[Exception]] = {
    Path.exists: FileNotFoundError,  # nothing is made
    broken_link: FileNotFoundError,
    Path.mkdir: IsADirectoryError,
    loop: OSError,
    pipe: NotAFileError,
    link_to_a_device: NotAFileError,
    huge: TooLargeError,
    forbidden: PermissionError,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("obstacle", OBSTACLES, ids=lambda obstacle: obstacle.__name__)
def test_what_is_no_file_is_refused_and_not_waited_for(
    kind: str, obstacle: Callable[[Path], Any], tmp_path: Path
) -> None:
    if obstacle is forbidden and os.geteuid() == 0:
        pytest.skip("nothing is forbidden to root")
    path = tmp_path / "file"
    obstacle(path)
    with pytest.raises(UnreadableError) as caught:
        KINDS[kind][0](path)
    if kind != "tensors":
        assert isinstance(caught.value.cause, OBSTACLES[obstacle])
        assert caught.value.missing == (OBSTACLES[obstacle] is FileNotFoundError)
    assert str(caught.value).startswith("file: ")


def bomb() -> bytes:
    """Return an archive of a few kilobytes that says its one array has four gigabytes, and could not be wrong."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**20,)})
        member.write(header.getvalue() + bytes(2**20))
    content = bytearray(buffer.getvalue())
    at = content.index(b"PK\x01\x02")  # the central directory, which is believed before anything is unpacked
    content[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    return bytes(content)


def claims(shape: str) -> bytes:
    """Return an archive with an array whose header claims more than there is."""
    buffer = io.BytesIO()
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    return buffer.getvalue()


def text_in_an_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", "no array")
    return buffer.getvalue()


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
DAMAGE: list[tuple[str, bytes, str]] = [
    *((kind, b"a\xff", "UnicodeDecodeError: ") for kind in sorted(OF_TEXT)),
    ("JSON", b"", "JSONDecodeError: Expecting value"),
    ("JSON", b"[" * 100_000, "RecursionError: "),
    ("JSON", b"9" * 10_000, "ValueError: Exceeds the limit"),
    ("YAML", LAUGHS.encode(), "_NotPlain: more than 20,000 values"),
    (
        "YAML",
        b"- " * 50_000 + b"x",
        "_NotPlain: lists or mappings nested more than 40 deep",
    ),  # too deep for the stack of the parser
    ("YAML", b"!!python/object/apply:os.system ['true']", "_NotPlain: the tag"),
    ("YAML", b"a: [", "ParserError: "),
    ("YAML", b"x" * (2**20 + 1), "TooLargeError: file has 1,048,577 bytes"),
    ("rows", b"a\n" + b"x" * 200_000, "Error: field larger than field limit"),
    ("table", b"", "EmptyDataError: "),
    ("table", b"a\n1,2\n1,2,3\n", "ParserError: "),
    ("arrays", b"", "BadZipFile: "),
    ("arrays", b"\x93NUMPY no archive", "BadZipFile: "),
    ("arrays", npz(a=A)[:-30], "BadZipFile: "),
    ("arrays", npz(a=np.array([{}], dtype=object)), "ValueError: Object arrays cannot be loaded"),
    ("arrays", bomb(), "TooLargeError: file has 4,294,967,294 bytes"),
    ("arrays", claims("(1 << 62,)"), ""),
    ("arrays", claims("(10**9, 10**9)"), ""),
    ("arrays", claims("(4000000000000,)"), ""),
    ("arrays", text_in_an_archive(), "ValueError: a is not an array"),
    ("tensors", b"", "RequestError: "),
    ("tensors", struct.pack("<Q", 2**60) + b"{}", "RequestError: "),
]


@pytest.mark.parametrize(
    ("kind", "content", "reason"), DAMAGE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_damage_is_named(kind: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UnreadableError) as caught:
        KINDS[kind][0](tmp_path / "file")
    assert caught.value.reason.startswith(reason)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_a_damaged_file_is_read_or_unreadable(kind: str, data: Any) -> None:
    """Any bytes, and a sound file that was cut, or of which some bytes are others."""
    read, sound, _ = KINDS[kind]
    content = bytearray(data.draw(st.one_of(st.binary(max_size=80), st.just(sound))))
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(content)
        try:
            read(path)
        except UnreadableError as error:
            assert "\n" not in str(error.path) and error.path == path


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_json_that_was_written_is_read(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_text(json.dumps({"value": value}, ensure_ascii=False), encoding="utf-8", errors="surrogatepass")
        try:
            assert readers.read_json(path) == {"value": value}
        except UnreadableError as error:  # a half of a surrogate pair is no text
            assert isinstance(error.cause, UnicodeDecodeError)


@pytest.mark.parametrize("content", [None, "", "{", "[1]", "3", '{"a": 1}'])
def test_the_lenient_readers_return_what_is_there_or_nothing(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    expected = {"a": 1} if content == '{"a": 1}' else {}
    assert readers.read_json_or_empty(path) == safe_yaml.load_or_empty(path) == expected
    assert safe_yaml.load_or_empty(path, list) == ([1] if content == "[1]" else [])


def test_the_error_says_what_is_wrong_and_can_be_sent_to_another_process(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe.json")
    words = {
        "a.json": "damaged (JSONDecodeError: ",
        "pipe.json": "not a file (",
        "gone.json": "no such file (",
    }
    for name, expected in words.items():
        with pytest.raises(UnreadableError) as caught:
            readers.read_json(tmp_path / name)
        assert str(caught.value).startswith(f"{name}: {expected}")
        again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
        assert str(again) == str(caught.value)


def test_a_file_that_does_not_say_how_large_it_is_ends(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    with pytest.raises(UnreadableError, match="bytes, more than any file written by mnistlab"):
        readers.read_bytes(Path("/proc/self/status"), most=10)


def test_a_deep_configuration_of_a_run_does_not_end_the_interpreter(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("- " * 50_000 + "x", encoding="utf-8")
    code = "from pathlib import Path\nfrom mnistlab.config import safe_yaml\n"
    code += "print(safe_yaml.load_or_empty(Path('config.yaml')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "{}\n")


def test_columns_are_numbers_but_for_one_of_text(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text('curve,x,threshold\nNA,0.5,inf\n"a, b",1e-3,\n')
    columns = readers.read_columns(path, text="curve")
    assert list(columns) == ["curve", "x", "threshold"]
    assert columns["curve"].tolist() == ["NA", "a, b"]
    assert columns["x"].tolist() == [0.5, 1e-3]
    assert columns["threshold"][0] == np.inf
    assert np.isnan(columns["threshold"][1])
    path.write_text("curve,x\n")
    assert [len(column) for column in readers.read_columns(path, text="curve").values()] == [0, 0]


@pytest.mark.parametrize("content", ["", "x\none\n", "x,y\n1\n"])
def test_columns_of_a_damaged_file_name_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(content)
    with pytest.raises(readers.UnreadableError, match=r"curves\.csv"):
        readers.read_columns(path)
