"""What a web process does before it serves anybody."""

import resource
import subprocess
import sys

from project.local.home import ROOT

PROGRAM = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
import project.asgi
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limits_after_start(soft: int, hard: int) -> list[int]:
    """Soft and hard limit on open files of a web process that was started under these."""
    program = [sys.executable, "-c", PROGRAM.format(soft=soft, hard=hard)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_a_web_process_may_open_as_many_files_as_the_system_allows() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = 5000 if hard == resource.RLIM_INFINITY else min(hard, 5000)
    assert limits_after_start(256, allowed) == [allowed, allowed]


def test_a_limit_that_is_high_enough_stays() -> None:
    assert limits_after_start(300, 300) == [300, 300]
