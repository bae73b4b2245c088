"""Small data files, a loopback mirror, and a cache that is never the user's."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers.data_files import write_four

from mnistlab.data import catalog, idx_format
from mnistlab.data.sources import published

REAL_DATA = os.environ.get("MNISTLAB_DATA")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MNISTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MNISTLAB_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(published, "SYSTEM", tmp_path / "system")


@pytest.fixture
def real_data(monkeypatch):
    """The full MNIST and Fashion-MNIST files, where MNISTLAB_DATA names them."""
    if not REAL_DATA or not (Path(REAL_DATA) / "mnist").is_dir():
        pytest.skip("MNISTLAB_DATA does not name a folder with the full MNIST files")
    monkeypatch.setenv("MNISTLAB_DATA", REAL_DATA)
    return Path(REAL_DATA)


@pytest.fixture
def four(tmp_path):
    return write_four(tmp_path / "four")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A registered dataset ``tiny`` with known hashes; returns the folder of the published files."""
    folder = write_four(tmp_path / "published")
    hashes = {
        name: idx_format.read(folder / f"{name}.gz", 3 if "idx3" in name else 1)[1] for name in catalog.MNIST_FILES
    }
    entry = catalog.Named("a test set", "tiny", 60, 20, catalog.DIGITS, 3000, (), sha256=hashes)
    monkeypatch.setitem(catalog.REGISTRY, "tiny", entry)
    return folder


class Mirror:
    """A loopback web server: ``pages`` maps a path to bytes, a status, or (bytes, claimed length)."""

    def __init__(self):
        self.pages, self.asked = {}, []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.asked.append(self.path)
                page = mirror.pages.get(self.path, 404)
                page = page.pop(0) if isinstance(page, list) else page
                if isinstance(page, int):
                    self.send_error(page)
                    return
                body, claimed = page if isinstance(page, tuple) else (page, len(page))
                self.send_response(200)
                self.send_header("Content-Length", str(claimed))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def serve(self, under, folder):
        for file in folder.iterdir():
            self.pages[f"/{under}/{file.name}"] = file.read_bytes()
        return f"{self.url}/{under}/"


@pytest.fixture
def mirror():
    mirror = Mirror()
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()
