"""What a file is, by its first bytes; and its bytes, unpacked within limits."""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mnistlab.data.idx_format import LARGEST, PIECE, TYPES, BadFileError, inflate, refuse_impostors

DENSEST = 40  # largest ratio of unpacked to compressed bytes; MNIST's is seven
UNPACKED = 2**26  # bytes that every file may unpack to
HEAD = 2**16
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
HDF5 = b"\x89HDF\r\n\x1a\n"
PICKLE = (
    "is a pickle, which can run programs when it is opened, so it is not read; if you trust it, convert it to .npz with"
    " the lines under 'Pickles' in docs/how-to/own-data.md"
)
REFUSED = {
    "sqlite": (b"SQLite format 3", "is an SQLite database; export its table as CSV"),
    "rar": (b"Rar!", "is a RAR archive; unpack it first"),
    "7z": (b"7z\xbc\xaf", "is a 7-Zip archive; unpack it first"),
    "arrow": (b"ARROW1", "is an Arrow file; save it as parquet"),
    "pdf": (b"%PDF", "is a PDF document, not data"),
}


class Stream(io.RawIOBase):
    """The bytes of a file, unpacked if compressed; a line longer than ``longest`` bytes is an error.

    A compressed file may unpack to `DENSEST` times its size, or `UNPACKED` bytes. Raises EOFError if it is cut off, and
    zlib.error if it is corrupt.
    """

    def __init__(self, path: Path, longest: int | None = None) -> None:
        self.raw = opened(path)
        self.packing = packing_of(self.raw.read(6))
        self.raw.seek(0)
        self.packed = self.packing is not None
        self.pieces = pieces_of(self.raw, self.packing)
        self.rest = memoryview(b"")
        self.longest, self.line, self.name, self.unpacked = longest, 0, path.name, 0
        self.most = max(UNPACKED, DENSEST * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into the buffer, and return how many."""
        if not self.rest:
            piece = next(self.pieces, b"")
            self._bound(piece)
            self.rest = memoryview(piece)
        count = min(len(buffer), len(self.rest))
        buffer[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count

    def _bound(self, piece: bytes) -> None:
        end = piece.rfind(b"\n")
        self.line = self.line + len(piece) if end < 0 else len(piece) - end - 1
        if self.longest is not None and self.line > self.longest:
            raise BadFileError(f"a line is longer than {self.longest:,} bytes; its cells cannot be those of the header")
        self.unpacked += len(piece)
        if self.packed and self.unpacked > self.most:
            raise BadFileError(f"{self.name} unpacks to more than {self.most:,} bytes, too many for a table of images")

    def close(self) -> None:
        self.raw.close()
        super().close()


def opened(path: Path) -> BinaryIO:
    """Open a regular file; a pipe would block, and a device may not end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadFileError(f"{path.name} is not a file")
        return path.open("rb")
    except OSError as error:
        raise BadFileError(f"{path.name} cannot be read ({error.strerror}); check file permissions") from None


def packing_of(head: bytes) -> str | None:
    """Return the compression of a file that begins with these bytes."""
    return next((name for magic, name in PACKED.items() if head.startswith(magic)), None)


def pieces_of(raw: BinaryIO, packing: str | None) -> Iterator[bytes]:
    """Yield the unpacked content in pieces of limited size."""
    if packing is None:
        return iter(lambda: raw.read(PIECE), b"")
    return inflate(raw) if packing == "gzip" else _decompressed(raw, packing)


def _decompressed(raw: BinaryIO, packing: str) -> Iterator[bytes]:
    """Yield the content of a bzip2 or xz file in pieces; errors are those of `inflate`."""

    def fresh() -> Any:
        return bz2.BZ2Decompressor() if packing == "bzip2" else lzma.LZMADecompressor(memlimit=2**28)

    unpacker, data = fresh(), raw.read(PIECE)
    try:
        while True:
            piece = unpacker.decompress(data, PIECE)
            if piece:
                yield piece
            data = b""
            if unpacker.eof:
                data = unpacker.unused_data or raw.read(PIECE)
                if not data.strip(b"\0"):
                    return
                unpacker = fresh()
            elif unpacker.needs_input and not (data := raw.read(PIECE)):
                raise EOFError
    except (OSError, lzma.LZMAError) as error:
        raise zlib.error(str(error)) from None


def read_all(path: Path) -> bytes:
    """Return the unpacked bytes of a file of at most `LARGEST` bytes."""
    if path.stat().st_size > LARGEST:
        raise BadFileError(f"{path.name} has more than the maximum of {LARGEST:,} bytes")
    try:
        with Stream(path) as stream:
            return b"".join(iter(lambda: stream.read(PIECE) or b"", b""))
    except EOFError:
        raise BadFileError(f"{path.name} is cut off; copy or download it again") from None
    except zlib.error as error:
        raise BadFileError(f"{path.name} is corrupt ({error}); copy or download it again") from None


def sha256(path: Path) -> str:
    """Return the hash of the uncompressed content."""
    digest = hashlib.sha256()
    with Stream(path) as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked; those that can be read of a damaged one."""
    with opened(path) as raw:
        packing = packing_of(raw.read(6))
        raw.seek(0)
        pieces, head = pieces_of(raw, packing), b""
        try:
            while len(head) < HEAD and (piece := next(pieces, b"")):
                head += piece
        except (EOFError, zlib.error) as error:
            if not head:
                why = "cut off" if isinstance(error, EOFError) else f"corrupt ({str(error).split(': ')[-1]})"
                raise BadFileError(f"{path.name} is {why}; copy or download it again") from None
        except OSError as error:
            raise BadFileError(f"{path.name} cannot be read ({error.strerror})") from None
    return head[:HEAD]


def kind_of(path: Path) -> str:
    """Return the format of a file: idx, npz, npy, csv, libsvm, arff, mat, hdf5, parquet, zip, tar or picture.

    Raises `BadFileError` for a file of no such format; the message says what it is where that is known.
    """
    head = head_of(path)
    if not head:
        raise BadFileError(f"{path.name} is empty; copy or download it again")
    refuse_impostors(path.name, head)
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        raise BadFileError(f"{path.name} {PICKLE}")
    for magic, message in REFUSED.values():
        if head.startswith(magic):
            raise BadFileError(f"{path.name} {message}")
    if head.startswith(b"PK\3\4"):
        return _kind_of_zip(path)
    for magic, kind in ((b"\x93NUMPY", "npy"), (HDF5, "hdf5"), (b"PAR1", "parquet"), (b"MATLAB 5.0", "mat")):
        if head.startswith(magic):
            return kind
    if any(head[at : at + 8] == HDF5 for at in (512, 1024, 2048)):
        return "hdf5"
    if head[:2] == b"\0\0" and head[2:3] and head[2] in TYPES and head[3:4] and 1 <= head[3] <= 4:
        return "idx"
    if head[257:262] == b"ustar":
        return "tar"
    if is_picture(head):
        return "picture"
    return _kind_of_text(path.name, head)


def is_picture(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is a picture."""
    if head.startswith(PICTURES) or re.match(rb"P[1-6]\s", head):
        return True
    return (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or (head[4:8] == b"ftyp" and head[8:12] in HEIF)


HEIF = (b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"avif", b"avis")


def _kind_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:100_000]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "npz"  # whose reader says what is wrong with the archive
    if any(name.endswith("data.pkl") for name in names):
        raise BadFileError(f"{path.name} is a PyTorch file, which {PICKLE.partition(', which ')[2]}")
    if "[Content_Types].xml" in names:
        raise BadFileError(f"{path.name} is an Office document; save its table as CSV")
    return "npz" if any(name.endswith(".npy") and "/" not in name for name in names) else "zip"


def _is_sparse(line: str) -> bool:
    """Return whether a line is one of libsvm: a label, then index:value pairs."""
    label, *pairs = line.partition("#")[0].split()[:100]
    split = [pair.partition(":") for pair in pairs]
    return (
        bool(pairs)
        and set(label) <= set("0123456789+-.,eE")
        and all((index.isdecimal() or index == "qid") and value for index, _, value in split)
    )


def _kind_of_text(name: str, head: bytes) -> str:
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head.decode(encoding, errors="replace")
    if "\0" in text or text.count("\ufffd") > 0.02 * len(text) + 4:
        first = head[:4].hex(" ")
        raise BadFileError(f"{name} is of an unknown format (its first bytes are {first}); save it as .npz or CSV")
    lines = [line for line in text.splitlines() if line.strip()]
    body = [line for line in lines if not line.lstrip().startswith(("%", "#"))]
    if body and body[0].lstrip().lower().startswith("@relation"):
        return "arff"
    if len(body) > 1 and _is_sparse(body[0]):
        return "libsvm"
    if text.startswith(("(dp", "(lp")) or re.match(r"c[\w.]+\n\w+\n", text):
        raise BadFileError(f"{name} {PICKLE}")
    if re.match(r"\s*[\[{]", text):
        raise BadFileError(f"{name} is JSON; save the images as .npz or CSV")
    return "csv"
