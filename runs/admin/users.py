"""Django's own pages of users and groups, in the console's clothes."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm


class OperatorAdmin(UserAdmin, ModelAdmin):  # type: ignore[misc,type-arg] # untyped
    """Who may log in, and what they may do."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


class RoleAdmin(GroupAdmin, ModelAdmin):  # type: ignore[misc] # untyped
    """Permissions under one name, such as "viewers" and "operators"."""


for _model, _page in ((User, OperatorAdmin), (Group, RoleAdmin)):
    if admin.site.is_registered(_model):  # a deployment with users of its own has its own page of them
        admin.site.unregister(_model)
        admin.site.register(_model, _page)
