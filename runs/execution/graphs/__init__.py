"""Executing a LangGraph graph as an attempt: its steps are fenced, its state is the thread's head.

Imported only where a graph is executed: the server runs without LangGraph.
"""
