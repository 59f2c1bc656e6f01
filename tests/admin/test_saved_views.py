"""Views of the list of runs: presets, one's own, those of others; saved by their meaning and not by their text."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from runs.admin.saved_views import PRESETS
from runs.models import Run, SavedView
from runs.services.saved_views import MOST_VIEWS
from tests.support.factories import make_actor, make_run, make_thread

LIST, VIEWS = reverse("admin:runs_run_changelist"), reverse("admin:runs_run_views")


def colleague(name: str, *permissions: str) -> Client:
    """The browser of somebody who may see runs, and what is named."""
    user = make_actor(name).owner
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_run", *permissions]))
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, do: str, *, status: int = 302, **form: Any) -> str:
    """What the console says afterwards, on the list that it returns to."""
    answer = client.post(VIEWS, {"do": do, **form})
    assert answer.status_code == status
    if status != 302:
        return ""
    said = [str(message) for message in client.get(answer["Location"]).context["messages"]]
    assert len(said) == 1
    return said[0]


def offered(client: Client) -> list[tuple[str, str, str]]:
    """The saved views above the list: name, address, whose if somebody else's."""
    return [(view["name"], view["link"], view["by"]) for view in client.get(LIST).context["views"]]


def stored() -> list[tuple[str, str, str, bool]]:
    return list(SavedView.objects.order_by("pk").values_list("owner__username", "name", "query", "shared"))


def test_a_view_is_saved_and_offered_and_leads_to_the_same_runs() -> None:
    ada = colleague("ada")
    runs = [make_run(make_thread(make_actor(name))) for name in ("acme", "other")]
    query = "?status=pending&q=owner%3Aacme"
    said = post(ada, "save", name="  Acme   waits ", filter=query)
    assert said == "The view “Acme waits” is saved."
    assert offered(ada) == [("Acme waits", query, "")]
    page = ada.get(LIST + query)
    assert [str(row.run.pk) for row in page.context["page"].rows] == [str(runs[0].pk)]
    assert f'href="{escape(query)}" aria-current="page"' in page.content.decode()


def test_a_view_keeps_what_a_name_meant_when_it_was_saved() -> None:
    ada = colleague("ada")
    make_actor("hasty")
    post(ada, "save", name="Hasty's", filter="?q=hasty")
    assert stored() == [("ada", "Hasty's", "q=owner%3A%22hasty%22", False)]
    assert [view["current"] for view in ada.get(f"{LIST}?q=hasty").context["views"]] == [True]
    other = make_run(make_thread())
    Run.objects.filter(pk=other.pk).update(assistant="hasty")
    assert [view["current"] for view in ada.get(f"{LIST}?q=hasty").context["views"]] == [False]
    page = ada.get(f"{LIST}?q=owner%3A%22hasty%22").context
    assert (page["wanted"].understood, page["page"].rows) == ("owner = hasty", [])


def test_a_view_whose_names_cannot_all_be_given_a_kind_is_not_saved() -> None:
    ada = colleague("ada")
    make_actor("hasty")
    search = "hasty reason:" + "x" * 985
    said = post(ada, "save", name="x", filter=f"?q={search}")
    assert said.startswith("This search is too long to be saved")
    assert stored() == []


def test_saving_returns_to_the_same_list_with_its_filter() -> None:
    answer = colleague("ada").post(VIEWS, {"do": "save", "name": "x", "filter": "?status=error&q=-status%3Atimeout"})
    assert answer["Location"] == f"{LIST}?status=error&q=-status%3Atimeout"


def test_only_what_the_list_knows_is_stored_and_the_page_is_no_part_of_it() -> None:
    ada = colleague("ada")
    post(ada, "save", name="x", filter="?q=status%3Aerror&before=2026-11-29T00%3A00%3A00%2B00%3A00~5&age=1h")
    assert stored() == [("ada", "x", "age=1h&q=status%3Aerror", False)]
    said = post(ada, "save", name="y", filter="?status=error&next=https%3A%2F%2Fevil.example")
    assert said == "This filter is not saved, because it is not understood. There is no filter “next”."
    assert len(stored()) == 1


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"name": "x", "filter": "?status=asleep"}, "This filter is not saved, because it is not understood. There is"),
        (
            {"name": "x", "filter": "?q=%28a%29"},
            "This filter is not saved, because it is not understood. Not understood",
        ),
        ({"name": "x", "filter": "?q=a%00"}, "This filter is not saved, because it is not understood. Not understood"),
        ({"name": "x", "filter": "?"}, "Filter or search first"),
        ({"name": "x"}, "Filter or search first"),
        ({"name": " ", "filter": "?age=1h"}, "A view needs a name of at most 60 characters."),
        ({"name": "x" * 61, "filter": "?age=1h"}, "A view needs a name of at most 60 characters."),
        ({"name": "a\x00b", "filter": "?age=1h"}, "A view needs a name of at most 60 characters."),
        ({"name": "taken", "filter": "?age=1h"}, "You have a view “taken” already."),
    ],
)
def test_what_is_no_view_is_refused_and_nothing_is_stored(form: dict[str, Any], complaint: str) -> None:
    ada = colleague("ada")
    post(ada, "save", name="taken", filter="?status=error")
    assert post(ada, "save", **form).startswith(complaint)
    assert stored() == [("ada", "taken", "status=error", False)]


def test_there_are_as_many_as_there_can_be() -> None:
    ada = colleague("ada")
    owner = User.objects.get(username="ada")
    SavedView.objects.bulk_create(
        SavedView(owner=owner, name=f"view {number}", query="age=1h") for number in range(MOST_VIEWS)
    )
    assert post(ada, "save", name="one more", filter="?age=1h").startswith(f"You have {MOST_VIEWS} views")
    assert SavedView.objects.count() == MOST_VIEWS


def test_own_views_are_renamed_replaced_and_deleted() -> None:
    ada = colleague("ada")
    post(ada, "save", name="one", filter="?age=1h")
    post(ada, "save", name="two", filter="?age=1d")
    one = SavedView.objects.get(name="one").pk
    assert post(ada, "rename", view=one, name="two").startswith("You have a view “two” already.")
    assert post(ada, "rename", view=one, name="one") == "The view is now called “one”."
    assert post(ada, "rename", view=one, name="first", filter="?age=7d") == "The view is now called “first”."
    assert post(ada, "replace", view=one, filter="?status=error") == (
        "The view “first” is now the filter that you look at."
    )
    assert post(ada, "replace", view=one, filter="?status=asleep").startswith("This filter is not saved")
    assert stored() == [("ada", "first", "status=error", False), ("ada", "two", "age=1d", False)]
    assert post(ada, "delete", view=one) == "The view “first” is deleted."
    assert post(ada, "delete", view=one).startswith("There is no such view of yours.")
    assert stored() == [("ada", "two", "age=1d", False)]


@pytest.mark.parametrize("do", ["rename", "replace", "unshare", "delete"])
@pytest.mark.parametrize("view", ["theirs", "0", "", "x", "9" * 30])
def test_views_of_others_are_as_unknown_as_those_that_never_were(do: str, view: str) -> None:
    ada, eve = colleague("ada", "share_savedview"), colleague("eve", "share_savedview")
    post(ada, "save", name="ada's", filter="?age=1h", shared="on")
    named = str(SavedView.objects.get().pk) if view == "theirs" else view
    said = post(eve, do, view=named, name="mine now", filter="?age=1d")
    assert said == "There is no such view of yours. It may have been deleted meanwhile."
    assert stored() == [("ada", "ada's", "age=1h", True)]


def test_sharing_has_a_permission_of_its_own() -> None:
    ada, eve = colleague("ada", "share_savedview"), colleague("eve")
    post(ada, "save", name="for all", filter="?age=1h", shared="on")
    post(ada, "save", name="mine", filter="?age=1d")
    assert offered(eve) == [("for all", "?age=1h", "ada")]
    post(eve, "save", name="x", filter="?age=1h", shared="on", status=403)
    post(eve, "save", name="eve's", filter="?age=1h")
    own = SavedView.objects.get(name="eve's").pk
    post(eve, "share", view=own, status=403)
    assert "Share with all" not in eve.get(LIST).content.decode()
    assert ("eve", "eve's", "age=1h", False) in stored()
    assert post(ada, "share", view=SavedView.objects.get(name="mine").pk).endswith("is shared with all who see runs.")
    assert [name for name, _, by in offered(eve) if by] == ["for all", "mine"]


def test_who_may_no_longer_share_may_only_stop_sharing() -> None:
    ada = colleague("ada", "share_savedview")
    post(ada, "save", name="for all", filter="?age=1h", shared="on")
    ada, shared = colleague("ada"), SavedView.objects.get().pk
    for do in ("rename", "replace"):
        said = post(ada, do, view=shared, name="other", filter="?age=1d")
        assert said == "You may not change what is shared with all. Stop sharing the view first."
    assert stored() == [("ada", "for all", "age=1h", True)]
    assert post(ada, "unshare", view=shared) == "The view “for all” is yours alone again."
    assert post(ada, "replace", view=shared, filter="?age=1d").startswith("The view “for all” is now")
    assert stored() == [("ada", "for all", "age=1d", False)]


def test_who_may_share_takes_back_what_others_share() -> None:
    ada, eve, viewer = colleague("ada", "share_savedview"), colleague("eve", "share_savedview"), colleague("bob")
    post(eve, "save", name="Everything", filter="?q=status:active", shared="1")
    post(eve, "save", name="Mine", filter="?q=status:error")
    shared, own = SavedView.objects.order_by("pk")
    assert "Views that others share" in ada.get(LIST).content.decode()
    assert "Views that others share" not in viewer.get(LIST).content.decode()
    post(viewer, "withdraw", view=shared.pk, status=403)
    assert offered(viewer) == [("Everything", "?q=status%3Aactive", "eve")]
    assert post(ada, "withdraw", view=shared.pk) == "The view “Everything” is shown to eve alone."
    assert (offered(ada), offered(viewer)) == ([], [])
    for view in (shared, own):
        assert "no such shared view" in post(ada, "withdraw", view=view.pk)
    assert [view[1] for view in offered(eve)] == ["?q=status%3Aactive", "?q=status%3Aerror"]


def test_views_of_those_who_cannot_log_in_any_more_are_not_offered() -> None:
    ada, eve = colleague("ada", "share_savedview"), colleague("eve")
    post(ada, "save", name="for all", filter="?age=1h", shared="on")
    User.objects.filter(username="ada").update(is_active=False)
    assert offered(eve) == []


def test_a_view_grants_nothing() -> None:
    """Who may not see runs sees none through it, and cannot keep one."""
    ada, stranger = colleague("ada", "share_savedview"), colleague("stranger")
    post(ada, "save", name="for all", filter="?age=1h", shared="on")
    user = User.objects.get(username="stranger")
    user.user_permissions.clear()
    assert stranger.get(f"{LIST}?age=1h").status_code == 403
    post(stranger, "save", name="x", filter="?age=1h", status=403)
    assert len(stored()) == 1


def test_a_view_that_is_not_understood_any_more_says_so_and_shows_nothing() -> None:
    ada = colleague("ada")
    gone = make_actor("gone").owner
    post(ada, "save", name="gone", filter="?owner=gone")
    make_run(make_thread())
    gone.delete()
    page = ada.get(LIST + "?owner=gone")
    assert page.context["wanted"].mistakes == ["There is no user “gone”."]
    assert page.context["page"].rows == []


def test_a_name_is_text_and_not_markup() -> None:
    ada = colleague("ada")
    post(ada, "save", name="<b>x</b>", filter="?age=1h")
    page = ada.get(LIST).content.decode()
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<b>x</b>" not in page


@pytest.mark.parametrize("name", [name for name, _, _ in PRESETS])
def test_every_preset_is_understood_and_shown_as_the_present_one(name: str) -> None:
    ada = colleague("ada")
    link = next(view["link"] for view in ada.get(LIST).context["presets"] if view["name"] == name)
    page = ada.get(LIST + link)
    assert page.context["wanted"].mistakes == []
    assert [view["name"] for view in page.context["presets"] if view["current"]] == [name]


def test_nothing_is_changed_by_looking_or_by_a_verb_that_is_none() -> None:
    ada = colleague("ada")
    assert ada.get(VIEWS).status_code == 405
    post(ada, "drop", name="x", filter="?age=1h", status=404)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="ada"))
    assert strict.post(VIEWS, {"do": "save", "name": "x", "filter": "?age=1h"}).status_code == 403
    assert stored() == []
