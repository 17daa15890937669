"""The outcomes of a run as a table, as JSON and as JUnit XML."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from conformance.runner import Outcome, State

GENERATED: Final = "boundaries"
WIDTH: Final = 24
ALWAYS_SHOWN: Final = {State.PASSED, State.FAILED, State.NOT_OFFERED}


def table(outcomes: Sequence[Outcome]) -> str:
    """Returns one line per operation, and the sums of the written and of the generated cases."""
    states = [state for state in State if state in ALWAYS_SHOWN or any(outcome.state is state for outcome in outcomes)]
    by_operation: dict[str, list[Outcome]] = {}
    by_origin: dict[str, list[Outcome]] = {"written": [], "generated": []}
    for outcome in outcomes:
        by_operation.setdefault(outcome.case.operation, []).append(outcome)
        by_origin["generated" if outcome.case.family == GENERATED else "written"].append(outcome)
    return "\n".join(
        [
            _line("operation", "cases", *states),
            *(_counts(operation, members, states) for operation, members in sorted(by_operation.items())),
            "",
            *(_counts(origin, members, states) for origin, members in by_origin.items()),
            _counts("all", outcomes, states),
        ]
    )


def failures(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yields a paragraph for each case that failed, or in which AWS differs from our choice."""
    for outcome in outcomes:
        if outcome.state in {State.FAILED, State.DIFFERS}:
            explained = outcome.text.replace("\n", "\n    ")
            yield f"{outcome.state} {outcome.case.id}\n    source  {outcome.case.source}\n    {explained}"


def write_json(outcomes: Sequence[Outcome], path: Path) -> None:
    """Writes the counts and every outcome."""
    content = {
        "counts": Counter(outcome.state.value for outcome in outcomes),
        "cases": [
            {
                "family": outcome.case.family,
                "operation": outcome.case.operation,
                "name": outcome.case.name,
                "source": outcome.case.source,
                "state": outcome.state.value,
                "text": outcome.text,
                "seconds": round(outcome.seconds, 4),
            }
            for outcome in outcomes
        ],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False))


def write_junit(outcomes: Sequence[Outcome], path: Path) -> None:
    """Writes one suite per family; what is not offered or not run is skipped."""
    root = ET.Element("testsuites")
    for family in dict.fromkeys(outcome.case.family for outcome in outcomes):
        members = [outcome for outcome in outcomes if outcome.case.family == family]
        counts = Counter(outcome.state for outcome in members)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=family,
            tests=str(len(members)),
            failures=str(counts[State.FAILED]),
            skipped=str(len(members) - counts[State.FAILED] - counts[State.PASSED]),
            time=f"{sum(outcome.seconds for outcome in members):.3f}",
        )
        for outcome in members:
            name = f"{outcome.case.operation}: {outcome.case.name}"
            element = ET.SubElement(
                suite, "testcase", classname=f"conformance.{family}", name=name, time=f"{outcome.seconds:.3f}"
            )
            if outcome.state is State.FAILED:
                ET.SubElement(element, "failure", message=outcome.case.source).text = _printable(outcome.text)
            elif outcome.state is not State.PASSED:
                ET.SubElement(element, "skipped", message=_printable(f"{outcome.state}: {outcome.text}"))
    ET.ElementTree(root).write(path, "utf-8", xml_declaration=True)


def _counts(name: str, outcomes: Sequence[Outcome], states: Sequence[State]) -> str:
    counts = Counter(outcome.state for outcome in outcomes)
    return _line(name, str(len(outcomes)), *(str(counts[state]) for state in states))


def _line(name: str, *columns: str) -> str:
    return name.ljust(WIDTH) + "".join(column.rjust(13) for column in columns)


def _printable(text: str) -> str:
    """Returns the text without characters that XML cannot hold."""
    return "".join(character if character in "\n\t" or character >= " " else "?" for character in text)
