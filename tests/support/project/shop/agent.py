"""A graph inside a package."""

from typing import TypedDict

from langgraph.graph import START, StateGraph

from .tools import PRICE


class Sale(TypedDict, total=False):
    price: int


graph = StateGraph(Sale).add_node("sell", lambda state: {"price": PRICE}).add_edge(START, "sell").compile()
