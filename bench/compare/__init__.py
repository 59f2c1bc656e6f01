"""Servers that speak the LangGraph API, measured side by side: `python -m bench.compare`."""
