"""Writes the documentation's tables from the code that they describe.

``python -m tools.documentation`` writes; ``--check`` fails if a table is not what it would write.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tools.reference import TABLES

_ROOT: Final = Path(__file__).parents[1]


def rewrite(text: str, name: str, rows: Iterable[str]) -> str:
    """Returns a page with the table of this name, between its two marks, replaced by these rows.

    Raises:
        SystemExit: the page has no such marks.
    """
    begin, end = f"<!-- table: {name} -->", "<!-- end -->"
    before, begin_found, rest = text.partition(begin)
    _, end_found, after = rest.partition(end)
    if not begin_found or not end_found:
        raise SystemExit(f"The page lacks the marks {begin} … {end}")
    return before + "\n".join([begin, *rows, end]) + after


def main() -> None:
    """Writes the tables, or with ``--check`` exits with 1 if one would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a table would change")
    only_check = parser.parse_args().check
    for name, (page, rows) in TABLES.items():
        path = _ROOT / page
        text = path.read_text(encoding="utf-8")
        rewritten = rewrite(text, name, rows())
        if not only_check:
            path.write_text(rewritten, encoding="utf-8")
        elif rewritten != text:
            raise SystemExit(f"{page} is behind the code: make generate")


if __name__ == "__main__":
    main()
