"""The documentation as a site: what a page links to is on it."""

import pytest

pytest.importorskip("mkdocs", reason="the site's builder is among the check tools, which are not installed")

from tools.site import INCLUDED, ROOT, rewrite_links


@pytest.mark.parametrize(
    ("place", "link", "expected"),
    [
        ("design/performance.md", "../../benchmarks/results/engine.md", "results/engine.md"),
        ("reference/compatibility.md", "../../conformance/README.md#sources", "conformance.md#sources"),
        ("index.md", "guides/indexes.md", "guides/indexes.md"),
        ("project/contributing.md", "docs/index.md", "../index.md"),
        ("design/results/engine.md", "paths.png", "paths.png"),
        ("index.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("index.md", "#here", "#here"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(place: str, link: str, expected: str) -> None:
    """The same text is read in both places."""
    assert rewrite_links(f"see [it]({link}).", place) == f"see [it]({expected})."


def test_results_are_part_of_the_site() -> None:
    """Nobody has to leave it for the evidence; and what is included exists."""
    assert INCLUDED["benchmarks/results/engine.md"] == "design/results/engine.md"
    assert [source for source in INCLUDED if not (ROOT / source).is_file()] == []
