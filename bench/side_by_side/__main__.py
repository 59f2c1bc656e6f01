"""`python -m bench.side_by_side`: prints every difference that the page on compatibility does not explain.

Exits with 1 if there is one, or if one that it expects does not exist any more. `--all` prints the expected ones, too.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from bench.side_by_side import servers
from bench.side_by_side.client import Server
from bench.side_by_side.differences import differences
from bench.side_by_side.expected import EXPECTED
from bench.side_by_side.scenarios import SCENARIOS


def main() -> int:
    """Ask both and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, default=servers.ROOT / ".venv-langgraph")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    program = servers.make_environment(options.environment)
    with tempfile.TemporaryDirectory() as directory:
        config = servers.copy_project(Path(directory))
        with servers.reference(program, config) as url, servers.runyard(config) as (own_url, key):
            theirs, ours = Server(url), Server(own_url, key)
            for scenario in SCENARIOS:
                scenario(theirs)
                scenario(ours)
    return report(theirs, ours, everything=options.all)


def report(theirs: Server, ours: Server, *, everything: bool) -> int:
    """Print the differences, theirs before ours; return the status of the program."""
    used, unexplained = set[str](), 0
    for name, their in theirs.said.items():
        for line in differences(their, ours.said[name]):
            found = f"{name} | {line}"
            why = next((pattern for pattern in EXPECTED if re.search(pattern, found)), None)
            unexplained += why is None
            used |= {why} if why is not None else set()
            if why is None or everything:
                print(f"{'?' if why is None else ' '} {found}" + ("" if why is None else f"   [{EXPECTED[why]}]"))
    gone = [pattern for pattern in EXPECTED if pattern not in used]
    for pattern in gone:
        print(f"! nothing differs any more as expected: {pattern}")
    print(f"{len(theirs.said)} requests; {unexplained} unexplained differences, {len(gone)} expected ones do not exist")
    return 1 if unexplained or gone else 0


if __name__ == "__main__":
    sys.exit(main())
