"""`make demo`: a tour with the official Python client over a document of yours (FILE=..., default the README)."""

import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from langgraph_sdk import get_sync_client
from langgraph_sdk.errors import APIError

from examples.text import split_sections
from examples.tour import STOPS, WIDTH, Broken, Tour
from project.local.errors import CannotStart
from project.local.home import Home
from project.local.running import running_server

README = Path(__file__).resolve().parent.parent / "README.md"


def main() -> int:
    """Take the tour; 0 if every promise was kept, 1 if one was not, 2 if the tour could not begin."""
    try:
        document = read_document(Path(os.environ.get("FILE") or README))
    except (OSError, ValueError) as error:
        print(f"FILE cannot be read: {error}", file=sys.stderr)
        return 2
    with server() as (url, api_key), get_sync_client(url=url, api_key=api_key) as client:
        tour = Tour(client, document)
        print(f"\nRunyard at {url}. The document has {tour.sections} sections, {len(document.split())} words.")
        take(tour)
    return verdict(tour)


def take(tour: Tour) -> None:
    """Make every stop; one that breaks off is a broken promise and does not keep us from the next."""
    for number, stop in enumerate(STOPS, start=1):
        print("", *textwrap.wrap(f"{number}. {stop.__doc__}", WIDTH), sep="\n", flush=True)
        try:
            stop(tour)
        except (Broken, APIError, httpx.HTTPError) as error:
            tour.broken.append(f"{stop.__name__}: {error}")
            tour.say(f"✗ {error}")


def read_document(path: Path) -> str:
    """Return the text of a file, or raise if there is nothing in it to digest."""
    try:
        document = path.expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8; name a text file") from None
    if not split_sections(document):
        raise ValueError(f"{path} has no sentences")
    return document


@contextmanager
def server() -> Iterator[tuple[str, str]]:
    """URL and API key: of the Runyard that RUNYARD_URL names, else of the one that is up, else of one of its own."""
    home = Home.from_environment()
    if url := os.environ.get("RUNYARD_URL"):
        yield url, os.environ.get("RUNYARD_API_KEY") or home.values()["RUNYARD_API_KEY"]
    elif up := home.status():
        yield up["API"], home.values()["RUNYARD_API_KEY"]
    else:
        print("No Runyard is up; starting one for the tour.", flush=True)
        with running_server() as started:
            yield started.url, started.api_key


def verdict(tour: Tour) -> int:
    """Sum up."""
    total = len(tour.kept) + len(tour.broken)
    if tour.broken:
        print(f"\n{len(tour.broken)} of {total} promises were broken:", *tour.broken, sep="\n  ✗ ")
        return 1
    print(f"\nAll {total} promises were kept.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotStart as reason:
        print(reason, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
