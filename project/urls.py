"""Routes: LangGraph's paths at the root, operators' pages and documentation beside them."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularRedocView, SpectacularSwaggerView

from runs.api.metrics import metrics
from runs.api.playground import playground

urlpatterns = [
    path("", include("runs.api.urls")),
    path("admin", RedirectView.as_view(pattern_name="admin:index"), name="admin-redirect"),
    path("admin/", admin.site.urls),
    path("metrics", metrics, name="metrics"),
    path("playground/", playground, name="playground"),
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="docs"),
    path("redoc", SpectacularRedocView.as_view(url_name="openapi"), name="redoc"),
]
handler404 = "runs.api.errors.not_found"
handler500 = "runs.api.errors.server_error"
