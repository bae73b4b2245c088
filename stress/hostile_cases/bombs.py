"""Small files that unpack to much, and files that are much; made only when they are needed, since a fork inherits."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

MB = 2**20


def idx_header(*shape: int) -> bytes:
    """Return the header of an IDX file of unsigned bytes."""
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


def gzipped(head: bytes, size: int, byte: bytes = b"\0") -> Callable[[], bytes]:
    """Return what makes a gzip file of these bytes and so many equal ones."""

    def make() -> bytes:
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        pieces = [packer.compress(head)]
        pieces += [packer.compress(byte * min(MB, size - start)) for start in range(0, size, MB)]
        return b"".join([*pieces, packer.flush()])

    return make


def csv_lines(header: str, line: str, count: int) -> Callable[[], bytes]:
    """Return what makes a gzip-compressed table of equal lines."""
    return lambda: gzip.compress((header + "\n" + f"{line}\n" * count).encode(), 1, mtime=0)


def npz_of_zeros(labels: bytes, n: int) -> Callable[[], bytes]:
    """Return what makes an archive whose images are n times 28 x 28 zeros, beside labels of another number."""

    def make() -> bytes:
        buffer = io.BytesIO()
        text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({n}, 28, 28), }}".encode().ljust(117) + b"\n"
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            with archive.open("images.npy", "w", force_zip64=True) as file:
                file.write(b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text)
                for start in range(0, n * 784, MB):
                    file.write(bytes(min(MB, n * 784 - start)))
            archive.writestr("labels.npy", labels)
        return buffer.getvalue()

    return make


def npz_of_bzip2(images: bytes, labels: bytes) -> Callable[[], bytes]:
    """Return what makes an archive whose labels are followed by 700 MB of zeros, in the compression that packs best."""

    def make() -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
            with archive.open("labels.npy", "w") as file:
                file.write(labels)
                for _ in range(700):
                    file.write(bytes(MB))
            archive.writestr("images.npy", images)
        return buffer.getvalue()

    return make


def png(side: int) -> bytes:
    """Return a picture of so many pixels a side in colour with transparency, its upper half empty, the other white."""
    packer = zlib.compressobj(9)
    rows = (b"\0" + byte * (4 * side) for byte in (b"\0", b"\xff") for _ in range(side // 2))
    pixels = b"".join([*map(packer.compress, rows), packer.flush()])
    parts = {b"IHDR": struct.pack(">IIBBBBB", side, side // 2 * 2, 8, 6, 0, 0, 0), b"IDAT": pixels, b"IEND": b""}
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def aliases() -> str:
    """Return nine lines of YAML that stand for 387 million values."""
    first = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    rest = (f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8))
    return first + "".join(rest)
