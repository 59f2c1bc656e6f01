"""The graphs of a LangGraph project as assistants.

`project` reads a langgraph.json and imports nothing else: web processes and the scheduler know a graph by its name.
`loading` imports a graph's code and `description` says what it looks like; only workers and commands call them.
"""

from runs.assistants.graphs.project import GraphProject, GraphReference, configured_project

__all__ = ["GraphProject", "GraphReference", "configured_project"]
