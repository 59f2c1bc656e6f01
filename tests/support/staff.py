"""People who have logged in to the admin and may do some of what there is."""

from django.contrib.auth.models import Permission
from django.test import Client

from tests.support.factories import make_actor


def staff(*permissions: str) -> Client:
    """The browser of somebody who may see runs, and what is named."""
    user = make_actor("staff").owner
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_run", *permissions]))
    client = Client()
    client.force_login(user)
    return client
