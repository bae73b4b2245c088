"""Downloads from the first mirror with the complete file: limited in size, checked, one file at a time."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from mnistlab.data.idx_format import BadFileError
from mnistlab.system.console import progress_bar

log = logging.getLogger("mnistlab.data")

TIMEOUT = (5, 30)  # seconds to connect, seconds without a byte
TRIES = 3  # of one mirror, when the connection breaks or the server is busy
BUSY = (429, 500, 502, 503, 504)
CHUNK = 2**16


class NoMirrorError(Exception):
    """No mirror provided the file; ``reasons`` has one line per mirror."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = list(reasons)


class _Bounded:
    """A file that refuses to grow beyond ``most`` bytes."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.file, self.left, self.most = file, most, most

    def write(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left < 0:
            raise BadFileError(f"it is longer than {self.most:,} bytes")
        self.file.write(data)

    def flush(self) -> None:
        """Do nothing: pooch flushes after every chunk, and the buffer is enough."""


def fetch_file(target: Path, urls: Iterable[str], most: int, check: Callable[[Path], None], pause: float = 0.5) -> None:
    """Download ``target`` from the first of ``urls`` whose file passes ``check`` (which raises `BadFileError` if not).

    At most ``most`` bytes are downloaded. If a mirror fails, a warning is logged and the next one is tried. The file
    appears under its name only when it is complete. Raises `NoMirrorError`.
    """
    import requests

    reasons, urls = [], list(urls)
    partial = target.with_name(f"{target.name}.part")
    for number, url in enumerate(urls, 1):
        try:
            _from_mirror(url, partial, most, pause)
            check(partial)
            partial.replace(target)
            return
        except (requests.RequestException, BadFileError) as error:
            reasons.append(f"{url}: {_reason(error)}")
            then = "; trying the next mirror" if number < len(urls) else ""
            log.warning("%s failed (%s)%s", url, _reason(error), then)
        finally:
            partial.unlink(missing_ok=True)
    raise NoMirrorError(reasons)


def _from_mirror(url: str, partial: Path, most: int, pause: float) -> None:
    import pooch
    import requests

    for attempt in range(1, TRIES + 1):
        # pooch evaluates the truth of the bar before it sets the total, and tqdm then needs a total
        bar = progress_bar(total=1, unit="B", unit_scale=True, desc=url.rsplit("/")[-1], disable=None)
        with partial.open("wb") as file, bar:
            downloader = pooch.HTTPDownloader(
                progressbar=bar, chunk_size=CHUNK, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}
            )
            try:
                downloader(url, _Bounded(file, most), None)
                return
            except requests.RequestException as error:
                if attempt == TRIES or not _passing(error):
                    raise
        time.sleep(pause * attempt)


def _passing(error: Exception) -> bool:
    """Return whether the error may be temporary, so that the same server is worth another try."""
    import requests

    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in BUSY
    return isinstance(error, requests.exceptions.ChunkedEncodingError)


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was lost"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)


def md5_is(expected: str, path: Path) -> None:
    """Raise `BadFileError` unless the file has this MD5, the only hash that its publisher provides."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    if digest.hexdigest() != expected:
        raise BadFileError(f"wrong content: MD5 {digest.hexdigest()[:12]}..., must be {expected[:12]}...")


def unpack(archive: Path, members: dict[str, Path], most: int) -> None:
    """Copy members of a zip archive to files; none may be longer than ``most`` bytes. Raises `BadFileError`."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for member, target in members.items():
                if opened.getinfo(member).file_size > most:
                    raise BadFileError(f"its member {member} is longer than {most:,} bytes")
                partial = target.with_name(f"{target.name}.part")
                with opened.open(member) as source, partial.open("wb") as file:
                    shutil.copyfileobj(source, file)
                partial.replace(target)
    except KeyError as error:
        raise BadFileError(f"a member is missing: {error.args[0]}") from None
    except zipfile.BadZipFile as error:
        raise BadFileError(f"broken archive: {error}") from None
