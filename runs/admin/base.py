"""What the pages of all tables share: nothing can be changed, and nothing large is counted."""

from functools import cached_property
from typing import Any, ClassVar
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.shortcuts import redirect
from unfold.admin import ModelAdmin, TabularInline

COUNT_AT_MOST = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg] # not generic at run time
    """Counts up to COUNT_AT_MOST rows: the number of pages of a large table is not worth reading all of it."""

    @cached_property
    def count(self) -> int:
        """The number of rows, or the bound."""
        rows: Any = self.object_list
        return int(rows[:COUNT_AT_MOST].count())


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc] # untyped
    """Lists and shows. Searches by id, which an index finds, and by the exact values of `exact_search`."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    search_help_text = "An id, in full"
    #: A search that is a UUID is compared with these.
    id_search: ClassVar[tuple[str, ...]] = ("pk",)
    #: Any other search is compared with these, as it is.
    exact_search: ClassVar[tuple[str, ...]] = ()
    # Django shows the search box if there is something here; get_search_results decides what is searched.
    search_fields = ("=pk",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Compare for equality: what LIKE would do to a large table, nobody wants to wait for."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q(pk__in=[])
        for name in self.id_search if _is_uuid(term) else self.exact_search:
            wanted |= Q(**{name: term})
        return queryset.filter(wanted), False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Refuse NUL characters in filters, which would hand them to the database; a search copes with them."""
        if any("\x00" in value for name, values in request.GET.lists() if name != "q" for value in values):
            return redirect(request.path)
        return super().changelist_view(request, extra_context)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are made by the services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are changed by the services."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are removed by the scheduler, when nothing needs them any more."""
        return False


class ReadOnlyInline(TabularInline):  # type: ignore[misc] # untyped
    """Rows of another table on the page of the one they belong to."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """See ReadOnlyAdmin."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """See ReadOnlyAdmin."""
        return False


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
