"""The documentation says what the code does: every setting, code, transition, command and link."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from rest_framework import exceptions

from runs import errors
from runs.api import urls
from runs.api.errors import BUG, BodyTooLarge, Contradiction, problem_of
from runs.assistants import Assistant, RunContext
from runs.conf import RunsSettings
from runs.states import TRANSITIONS, MultitaskStrategy

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "bench").rglob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_PATH = re.compile(r"`((?:runs|project|examples|tests|docs|bench)/[\w./-]*)(?:::(\w+))?`")
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def rows(page: Path) -> list[list[str]]:
    """The cells of every table row that begins with something in backticks or parentheses."""
    lines = [line for line in page.read_text().splitlines() if re.match(r"\| (`|\(none\))", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code(cell: str) -> str:
    return cell.strip("`")


def all_errors(kind: type[errors.RunError] = errors.RunError) -> Iterator[type[errors.RunError]]:
    yield kind
    for derived in kind.__subclasses__():
        yield from all_errors(derived)


def test_every_setting_of_the_app_is_documented_with_its_default() -> None:
    documented = {code(row[0]): code(row[1]) for row in rows(DOCS / "reference" / "settings.md")}

    defaults = {each.name: getattr(RunsSettings(), each.name) for each in fields(RunsSettings)}
    assert {name: ast.literal_eval(documented[name]) for name in defaults} == defaults


def test_every_variable_of_the_deployment_is_documented() -> None:
    documented = {code(row[0]) for row in rows(DOCS / "reference" / "settings.md")}
    read = re.findall(r'\benv\.\w+\("(\w+)"', (ROOT / "project" / "settings.py").read_text())
    local = [path.read_text() for path in (ROOT / "project" / "local").glob("*.py")]
    read += re.findall(r'os\.environ\.get\("([A-Z_]+)"', "\n".join(local))
    read += re.findall(r'port_from_environment\("(\w+)"', "\n".join(local))

    assert set(read) - documented == {"PATH"}


def test_every_error_is_documented_with_its_status() -> None:
    assert urls.urlpatterns, "imports every module of the API, and with them the errors that only the API has"
    documented = [(code(row[0]), row[1]) for row in rows(DOCS / "reference" / "errors.md")]
    problems = [problem_of(kind(thread_id=UUID(int=1), run_id=UUID(int=2))) for kind in all_errors()]
    internal = [kind.code for kind, problem in zip(all_errors(), problems, strict=True) if problem is None]

    for problem in filter(None, problems):
        assert (problem.code, str(problem.status)) in documented
    assert sorted(internal) == ["fenced", "illegal_transition", "run_error", "worker_draining"]
    assert set(internal) < {name for name, _ in documented}


@pytest.mark.parametrize(
    "exc",
    [
        BodyTooLarge(),
        RequestDataTooBig(),
        Contradiction(),
        SuspiciousOperation(),
        PermissionDenied(),
        OperationalError(),
        exceptions.NotAuthenticated(),
        exceptions.AuthenticationFailed(),
        exceptions.MethodNotAllowed("PUT"),
        exceptions.ValidationError("wrong"),
        exceptions.NotFound(),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_every_answer_to_a_bad_request_is_documented(exc: Exception) -> None:
    documented = [(code(row[0]), row[1]) for row in rows(DOCS / "reference" / "errors.md")]
    problem = problem_of(exc)

    assert problem is not None
    assert (problem.code, str(problem.status)) in documented


def test_the_answer_to_a_bug_is_documented() -> None:
    documented = [(code(row[0]), row[1]) for row in rows(DOCS / "reference" / "errors.md")]

    assert (BUG.code, str(BUG.status)) in documented


def test_the_transitions_are_documented_and_no_others() -> None:
    table = [row for row in rows(DOCS / "reference" / "status-and-transitions.md") if len(row) == 4]
    documented = {(code(row[0]), code(row[1])) for row in table}

    assert documented == {
        ("(none)" if before is None else str(before), str(after))
        for before, afters in TRANSITIONS.items()
        for after in afters
    }


def test_the_readme_has_every_strategy() -> None:
    first_cells = {code(row[0]).split("`")[0] for row in rows(ROOT / "README.md")}

    assert set(MultitaskStrategy.values) <= first_cells


def test_every_management_command_is_documented() -> None:
    commands = {path.stem for path in (ROOT / "runs" / "management" / "commands").glob("[!_]*.py")}
    page = (DOCS / "reference" / "management-commands.md").read_text()

    assert set(re.findall(r"^## `(\w+)`$", page, re.MULTILINE)) == commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    text = _CODE.sub("", page.read_text())
    broken = [link for link in _LINK.findall(text) if not re.match(r"https?:", link) and not resolves(page, link)]

    assert broken == []


def resolves(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(_CODE.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_and_function_that_is_named_exists(page: Path) -> None:
    named = _PATH.findall(page.read_text())
    missing = [path for path, function in named if not exists(ROOT / path, function)]

    assert missing == []


def exists(path: Path, function: str) -> bool:
    return path.exists() and (not function or re.search(rf"def {function}\b", path.read_text()) is not None)


@pytest.mark.parametrize("page", sorted(DOCS.glob("adr/0*.md")), ids=lambda page: page.stem)
def test_a_decision_is_short_and_says_whether_it_holds(page: Path) -> None:
    text = page.read_text()

    assert 120 <= len(text.split()) <= 400
    assert text.count("Status: ") == 1


class _Silent:
    must_stop = False

    def emit(self, data: Any) -> None:
        pass

    def report(self, **known: Any) -> None:
        pass


def test_the_assistant_of_the_tutorial_does_what_the_tutorial_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = (DOCS / "tutorial" / "first-assistant.md").read_text()
    source = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]
    expected = re.findall(r"^```\n(\{.*\})\n```$", page, re.MULTILINE)[0]
    text = ast.literal_eval(re.findall(r"^text = (.*)$", page, re.MULTILINE)[0])
    module: dict[str, Any] = {}
    exec(compile(source, "spelling.py", "exec"), module)
    spelling = module["spelling"]
    run = RunContext(
        _Silent(),
        run_id=UUID(int=1),
        thread_id=UUID(int=2),
        attempt=1,
        kwargs={},
        metadata={},
        state={},
        usage={},
        model_name=None,
    )

    assert isinstance(spelling, Assistant)
    assert list(spelling(run, {"text": text}))[-1] == ast.literal_eval(expected)
