"""Hooks of MkDocs: update the generated reference before a build, and convert formulas to MathML."""

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
    """Regenerate the reference pages that are out of date."""
    reference.write()


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with its formulas as MathML, which browsers render without scripts or a network."""
    content = INLINE.sub(lambda formula: convert(html.unescape(formula[1])), content)
    return DISPLAYED.sub(lambda formula: convert(html.unescape(formula[1]), display="block"), content)
