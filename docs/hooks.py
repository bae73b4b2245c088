"""What MkDocs does beside its own: it brings the reference up to date, and turns formulas into MathML."""

from __future__ import annotations

import html
import re

import reference
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
DISPLAYED = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_pre_build(config: MkDocsConfig) -> None:
    """Write the pages of the reference that are no longer what the code says."""
    reference.write()


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write formulas as MathML: browsers show it by themselves, without scripts or a network."""
    content = INLINE.sub(lambda found: convert(html.unescape(found[1])), content)
    return DISPLAYED.sub(lambda found: convert(html.unescape(found[1]), display="block"), content)
