"""Reading a page as a browser does: its tags, texts and pictures, and whether it needs anything but itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

EMPTY = {"meta", "link", "img", "rect", "line", "br"}
CELLS = {"td", "th", "dt", "dd", "span", "li"}  # what stands apart though no space is written
ADDRESSES = ("src", "href", "srcset", "poster", "data", "action", "xlink:href")


@dataclass
class Page(HTMLParser):
    """What stands in a page. Raises where a tag is closed that was not opened, or left open."""

    path: Path
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.source = self.path.read_text()
        self.feed(self.source)
        self.close()
        assert self.opened == []
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in CELLS:
            self.text += " "
        if tag not in EMPTY:
            self.opened.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.opened:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def images(self) -> list[dict[str, str | None]]:
        return self.all("img")

    @property
    def links(self) -> list[str]:
        return [str(one["href"]) for one in self.all("a")]

    @property
    def sections(self) -> list[str]:
        return [str(one["id"]) for one in self.all("section")]


def check_self_contained(page: Page) -> None:
    """No script, no handler, nothing to fetch: pictures are inside, links lead to files beside the page."""
    names = {name for name, _ in page.tags}
    assert not names & {"script", "iframe", "object", "embed", "form", "base", "audio", "video"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ADDRESSES:
            address = attributes.get(name)
            if address is not None:
                allowed = ("#", "./") if tag == "a" else ("data:image/png;base64,", "data:,")
                assert tag in ("a", "img", "link"), tag
                assert address.startswith(allowed), address[:80]
    assert "url(" not in page.source
    assert "@import" not in page.source
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert len(page.source.encode()) < 2_000_000
    for image in page.images:
        assert str(image["alt"]).strip()
        assert int(str(image["width"])) > 0 < int(str(image["height"]))
    ids = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(ids)
