"""API keys, which operators make and revoke here, and idempotency keys, which they only see."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from runs.admin.base import ReadOnlyAdmin
from runs.models import ApiKey, IdempotencyKey
from runs.services.api_keys import create_api_key, revoke_api_key


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys are made here, shown once, and revoked; never changed, never deleted, so that histories keep their names."""

    list_display = ("name", "prefix", "owner", "created_at", "last_used_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("owner",)
    ordering = ("-created_at",)
    exact_search = ("prefix", "name", "owner__username")
    id_search = ()
    search_help_text = "The exact prefix or name of a key, or the exact name of a user"
    actions = ("revoke",)
    autocomplete_fields = ("owner",)
    exclude = ("digest",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As Django's permissions say."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Who may make keys and who may end them are asked separately."""
        return request.user.has_perm("runs.delete_apikey")

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """A new key needs a name and an owner."""
        if obj is None:
            return ("name", "owner")
        return ("name", "prefix", "owner", "created_at", "last_used_at", "revoked_at")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: "ModelForm[ApiKey]", change: bool) -> None:
        """Make the key through the service and show it this once."""
        row, key = create_api_key(owner=obj.owner, name=obj.name)
        obj.pk = row.pk
        obj.refresh_from_db()
        messages.warning(request, f"The key is {key} - copy it now: only its hash is stored, it cannot be shown again.")

    @admin.action(description="Revoke selected API keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Make the keys useless, for good."""
        revoked = sum(revoke_api_key(pk) for pk in queryset.values_list("pk", flat=True))
        messages.success(request, f"{revoked} API key(s) revoked.")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    """One row is one create that was accepted under a key; the latest first."""

    list_display = ("key", "route", "owner", "run_id", "created_at")
    list_select_related = ("owner",)
    ordering = ("-created_at",)
    id_search = ("run_id", "key")
    exact_search = ("key", "owner__username")
    search_help_text = "The id of a run; or the exact key or name of a user"
