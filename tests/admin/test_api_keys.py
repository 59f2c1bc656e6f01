"""Making and revoking API keys."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from runs.models import ApiKey
from runs.services.api_keys import create_api_key, find_api_key
from tests.support.factories import make_actor

LIST = reverse("admin:runs_apikey_changelist")
ADD = reverse("admin:runs_apikey_add")


def test_a_new_key_is_shown_once_and_stored_as_a_hash(operator: Client) -> None:
    owner = make_actor("ada").owner
    page = operator.post(ADD, {"name": "laptop", "owner": owner.pk}, follow=True)

    row = ApiKey.objects.get()
    shown = re.findall(r"ry_[\w-]{43}", page.content.decode())
    assert len(shown) == 1
    assert (row.name, row.owner, row.prefix) == ("laptop", owner, shown[0][:8])
    assert find_api_key(shown[0]) == row
    assert shown[0] not in str(ApiKey.objects.values().get())
    for path in (LIST, reverse("admin:runs_apikey_change", args=[row.pk]), reverse("admin:index")):
        assert shown[0].encode() not in operator.get(path).content


@pytest.mark.parametrize("form", [{}, {"name": "x"}, {"name": "", "owner": 0}, {"name": "x" * 101}])
def test_an_incomplete_form_makes_no_key(operator: Client, form: dict[str, object]) -> None:
    assert operator.post(ADD, form).status_code == 200
    assert not ApiKey.objects.exists()


def revoke(client: Client, *keys: ApiKey) -> str:
    """Run the action on these keys and return the page that follows."""
    form = {"action": "revoke", "_selected_action": [str(key.pk) for key in keys]}
    return client.post(LIST, form, follow=True).content.decode()


def test_revoking_is_for_good_and_counts_what_it_did(operator: Client) -> None:
    owner = make_actor("ada").owner
    lost, readable = create_api_key(owner=owner, name="lost")
    kept, other = create_api_key(owner=owner, name="kept")

    assert "1 API key(s) revoked" in revoke(operator, lost)
    lost.refresh_from_db()
    first = lost.revoked_at
    assert first is not None
    assert (find_api_key(readable), find_api_key(other)) == (None, kept)
    assert "1 API key(s) revoked" in revoke(operator, lost, kept)
    lost.refresh_from_db()
    assert lost.revoked_at == first


def test_seeing_keys_is_not_making_or_revoking_them() -> None:
    owner = make_actor("ada").owner
    key, _ = create_api_key(owner=owner, name="kept")
    owner.is_staff = True
    owner.save()
    owner.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client = Client()
    client.force_login(owner)

    assert client.get(LIST).status_code == 200
    assert client.post(ADD, {"name": "x", "owner": owner.pk}).status_code == 403
    revoke(client, key)
    key.refresh_from_db()
    assert (key.revoked_at, ApiKey.objects.count()) == (None, 1)
