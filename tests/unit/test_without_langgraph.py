"""LangGraph is optional: without it the server starts, its functions are executed, and a graph says what is missing."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_CODE = """
import sys
BLOCKED = ("langgraph", "langchain_core", "langgraph_sdk")

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
import django
django.setup()
import project.asgi, project.celery, runs.api.urls, runs.tasks, runs.scheduler, runs.checks
from runs.assistants import registry
from runs.assistants.graphs.loading import GraphNotLoaded, load
print(registry.get("digest").name, registry.get("hitl").graph.name)
try:
    load(registry.get("hitl").graph)
except GraphNotLoaded as error:
    print(error)
assert not [name for name in sys.modules if name.split(".")[0] in BLOCKED]
"""


def test_without_langgraph() -> None:
    """Its import is blocked: nothing of ours needs it before a graph is executed."""
    config = ROOT / "tests" / "support" / "project" / "langgraph.json"
    environment = os.environ | {"RUNYARD_CONFIG": str(config), "DJANGO_SETTINGS_MODULE": "project.settings"}
    shown = subprocess.run(
        [sys.executable, "-c", _CODE], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines() == [
        "digest hitl",
        "Graph 'hitl' needs LangGraph, which is not installed: pip install -r requirements-langgraph.txt",
    ]
