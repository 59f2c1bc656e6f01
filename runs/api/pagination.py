"""Pages by limit and offset, and the headers that LangGraph's searches carry."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from runs.api.fields import WholeNumberField

DEFAULT_LIMIT = 10
MAX_LIMIT = 1000
MAX_OFFSET = 2**31 - 1
PAGE_HEADERS = [
    OpenApiParameter(
        "X-Pagination-Total", int, OpenApiParameter.HEADER, response=[200], description="Rows known so far."
    ),
    OpenApiParameter(
        "X-Pagination-Next",
        int,
        OpenApiParameter.HEADER,
        response=[200],
        description="Offset of the next page, if any.",
    ),
]


def page(rows: Sequence[Any], *, limit: int, offset: int) -> tuple[Sequence[Any], dict[str, str]]:
    """Cut what was read one row beyond the limit, and tell whether there is more.

    X-Pagination-Total counts what is known without counting: the rows up to here, and one more if there is more.
    """
    more = 0 < limit < len(rows)
    shown = rows[:limit]
    headers = {"X-Pagination-Total": str(offset + len(shown) + more)}
    if more:
        headers["X-Pagination-Next"] = str(offset + limit)
    return shown, headers


def limit_field(default: int = DEFAULT_LIMIT) -> WholeNumberField:
    """`limit` in a body; 0 is an empty page."""
    return WholeNumberField(min_value=0, max_value=MAX_LIMIT, default=default)


def offset_field() -> WholeNumberField:
    """`offset` in a body."""
    return WholeNumberField(min_value=0, max_value=MAX_OFFSET, default=0)


def query_limit_field(default: int = DEFAULT_LIMIT) -> serializers.IntegerField:
    """`limit` in a query string."""
    return serializers.IntegerField(min_value=0, max_value=MAX_LIMIT, default=default)


def query_offset_field() -> serializers.IntegerField:
    """`offset` in a query string."""
    return serializers.IntegerField(min_value=0, max_value=MAX_OFFSET, default=0)
