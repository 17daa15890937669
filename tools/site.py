"""MkDocs' hooks: pages that stand elsewhere in the repository become part of the site, and links to them lead there.

A page is written so that its links work where the repository is read. On the site the same links have to reach the
same pages, so each is resolved in the repository first. Nothing is copied into ``docs/``.
"""

import posixpath
import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = "docs/"

INCLUDED: Final = {
    "conformance/README.md": "reference/conformance.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "LICENSE": "project/LICENSE",
    **{
        path.relative_to(ROOT).as_posix(): f"design/results/{path.name}"
        for path in sorted((ROOT / "benchmarks" / "results").iterdir())
    },
}
"""File of the repository → its place on the site."""

_SOURCES: Final = {place: source for source, place in INCLUDED.items()}
_LINK: Final = re.compile(r"(?P<text>\[[^\]]*\])\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the included pages and images to the site."""
    for source, place in INCLUDED.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links between files of the repository into links between pages of the site."""
    return rewrite_links(markdown, page.file.src_uri)


def rewrite_links(markdown: str, place: str) -> str:
    """Returns a page's text with its links as they have to be at this place of the site.

    A link to a file that the site does not have stays as it is: the strict build then names it.
    """
    source = _SOURCES.get(place, DOCS + place)

    def rewritten(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found["target"]))
        there = INCLUDED.get(target) or (target.removeprefix(DOCS) if target.startswith(DOCS) else None)
        if there is None:
            return found[0]
        link = posixpath.relpath(there, posixpath.dirname(place) or ".")
        return f"{found['text']}({link}{found['anchor'] or ''})"

    return _LINK.sub(rewritten, markdown)
