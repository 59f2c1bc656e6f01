"""What the server writes to its log."""

import subprocess
import sys

_WRITE = """
import django, logging
django.setup()
logging.getLogger("django.request").error("Internal Server Error: /somewhere", exc_info=ValueError("a mistake"))
logging.getLogger("django.request").warning("Not Found: /nowhere")
logging.getLogger("runs.streaming.hub").warning("Redis is away")
"""


def test_mistakes_are_logged_with_their_reason_and_refusals_are_not() -> None:
    done = subprocess.run([sys.executable, "-c", _WRITE], capture_output=True, text=True, check=True)

    assert "Internal Server Error: /somewhere" in done.stderr
    assert "ValueError: a mistake" in done.stderr
    assert "Not Found" not in done.stderr
    assert done.stderr.count("Redis is away") == 1
