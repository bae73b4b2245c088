import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mnistlab.data import idx_format


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    array=arrays.arrays(np.uint8, arrays.array_shapes(min_dims=3, max_dims=3, max_side=9)),
    name=st.sampled_from(["images", "images.gz"]),
)
def test_what_is_written_is_read(tmp_path, array, name):
    idx_format.write(tmp_path / name, array)
    read, digest = idx_format.read(tmp_path / name, 3)
    np.testing.assert_array_equal(read, array)
    idx_format.write(tmp_path / "plain", array)
    assert digest == idx_format.read(tmp_path / "plain", 3)[1], "the hash is of the uncompressed content"


def header(*shape, type_byte=8):
    return bytes((0, 0, type_byte, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


BODY = bytes(range(18))
GOOD = header(2, 3, 3) + BODY
CASES = {
    "empty": (b"", "images is empty"),
    "not idx": (b"\x89PNG\r\n\x1a\n" + BODY, "is not an IDX file (its first bytes are 89 50 4e 47, not 00 00 08 03"),
    "text": (b"<html>not found</html>", "is a web page, perhaps an error page saved as data; download"),
    "other type": (header(2, 3, 3, type_byte=0x0D) + BODY * 4, "holds float values, must hold unsigned bytes"),
    "labels": (header(2) + b"\1\2", "holds labels (1 dimension), must hold images (3 dimensions)"),
    "four dimensions": (header(1, 1, 1, 1) + b"\1", "holds 4 dimensions, must hold images"),
    "header cut": (GOOD[:9], "ends after 9 of the 16 bytes of its header"),
    "header cut at the type": (GOOD[:3], "ends after 3 of the 16 bytes of its header"),
    "truncated": (GOOD[:-1], "ends after 33 of 34 bytes"),
    "longer": (GOOD + b"\0", "has 35 bytes, but its header declares 34"),
    "no images": (header(0, 28, 28), "is empty: its header declares 0 x 28 x 28"),
    "no pixels": (header(7, 0, 28), "is empty"),
    "claims more than there is": (header(60000, 28, 28) + BODY, "ends after 34 of 47,040,016 bytes"),
    "absurd claim": (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "more than the maximum of 671,088,640"),
    "packed, truncated content": (gzip.compress(GOOD[:-1]), "ends after 33 of 34 bytes"),
    "packed, longer": (gzip.compress(GOOD + b"\0"), "continues beyond the 34 bytes that its header declares"),
    "packed, cut": (gzip.compress(GOOD)[:-12], "ends after"),
    "packed, checksum cut": (gzip.compress(GOOD)[:-5], "is cut off in the checksum at its end"),
    "packed, checksum wrong": (gzip.compress(GOOD)[:-8] + b"\0" * 8, "is corrupt (incorrect data check)"),
    "packed, garbage": (b"\x1f\x8b" + b"\xff" * 50, "is corrupt"),
    "packed, garbage after": (gzip.compress(GOOD) + b"garbage", "is corrupt (incorrect header check)"),
    "packed, empty": (gzip.compress(b""), "is empty"),
    "packed, absurd claim": (gzip.compress(header(2**31, 28, 28)), "more than the maximum of 671,088,640"),
    "packed, claim beyond what fits": (gzip.compress(header(2**19, 28, 28)), "more than its"),
}


def test_the_headers_of_a_pair_are_compared_before_a_body_is_read(tmp_path, monkeypatch):
    (tmp_path / "images").write_bytes(GOOD)
    idx_format.write(tmp_path / "labels", np.zeros(5))
    monkeypatch.setattr(idx_format, "read", lambda *_: pytest.fail("a body was read"))
    with pytest.raises(idx_format.BadFileError, match=r"^images holds 2 images but labels holds 5 labels$"):
        idx_format.read_pair(tmp_path / "images", tmp_path / "labels")


def test_labels_are_judged_before_the_images_are_read(tmp_path):
    (tmp_path / "images").write_bytes(gzip.compress(GOOD)[:-12])  # cut off, which is not found any more
    idx_format.write(tmp_path / "labels", np.full(2, 200))

    def check(labels):
        assert labels.tolist() == [200, 200]
        raise ValueError("no such class")

    with pytest.raises(ValueError, match="no such class"):
        idx_format.read_pair(tmp_path / "images", tmp_path / "labels", check)


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_is_named_with_its_fault(tmp_path, case):
    content, message = CASES[case]
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(idx_format.BadFileError) as caught:
        idx_format.read(tmp_path / "images", 3)
    assert str(caught.value).startswith("images ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    bomb = tmp_path / "images.gz"
    bomb.write_bytes(gzip.compress(GOOD + bytes(300_000_000), compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(idx_format.BadFileError, match="continues beyond the 34 bytes"):
            idx_format.read(bomb, 3)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(idx_format.BadFileError, match=r"cannot be read \(Is a directory\)"):
        idx_format.read(tmp_path, 3)
    with pytest.raises(idx_format.BadFileError, match=r"gone cannot be read \(No such file or directory\)"):
        idx_format.read(tmp_path / "gone", 3)


def test_packing_is_told_by_content_not_by_name(tmp_path):
    (tmp_path / "a.gz").write_bytes(GOOD)
    (tmp_path / "b").write_bytes(gzip.compress(GOOD[:20]) + gzip.compress(GOOD[20:]) + b"\0" * 7)
    for name in ("a.gz", "b"):  # unpacked by a browser; two gzip members with padding
        np.testing.assert_array_equal(idx_format.read(tmp_path / name, 3)[0].reshape(-1), list(BODY))


def test_counts_that_disagree(tmp_path):
    idx_format.write(tmp_path / "x", np.zeros((3, 2, 2), np.uint8))
    idx_format.write(tmp_path / "y", np.zeros(4, np.uint8))
    with pytest.raises(idx_format.BadFileError, match="x holds 3 images but y holds 4 labels"):
        idx_format.read_pair(tmp_path / "x", tmp_path / "y")
