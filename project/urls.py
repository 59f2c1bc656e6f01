"""Routes: LangGraph's paths at the root, operators' pages beside them."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("runs.api.urls")),
]
