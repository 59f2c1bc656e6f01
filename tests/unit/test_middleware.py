"""What the deployment's own middleware leaves out makes no difference to any answer."""

from typing import Any

import pytest
from corsheaders.middleware import CorsMiddleware
from django.contrib import messages
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.utils.functional import empty

from project.middleware import Cors, Messages

PAGE = "https://page.example"


@pytest.mark.parametrize("allowed", [[], [PAGE]])
@pytest.mark.parametrize("path", ["/threads", "/admin/"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("headers", [{}, {"Origin": ""}, {"Origin": PAGE}, {"Origin": "https://other.example"}])
def test_answers_are_those_of_the_original(path: str, method: str, headers: dict[str, str], allowed: list[str]) -> None:
    asked = {**headers, "Access-Control-Request-Method": "POST"} if method == "OPTIONS" else headers
    answers = []
    with override_settings(CORS_ALLOWED_ORIGINS=allowed):
        for kind in (Cors, CorsMiddleware):
            middleware = kind(lambda _: HttpResponse("answer"))
            answers.append(middleware(RequestFactory().generic(method, path, headers=asked)))
    assert _shown(answers[0]) == _shown(answers[1])


def _shown(answer: Any) -> Any:
    return answer.status_code, answer.content, dict(answer.headers)


def _answer(view: Any) -> tuple[HttpRequest, Any]:
    request = RequestFactory().get("/admin/")
    with override_settings(MESSAGE_STORAGE="django.contrib.messages.storage.cookie.CookieStorage"):
        return request, Messages(view)(request)


def test_a_message_is_kept_for_the_next_page() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        messages.success(request, "Done.")
        return HttpResponse()

    _, answer = _answer(view)
    assert CookieStorage.cookie_name in answer.cookies


def test_without_a_message_nothing_is_made_for_messages() -> None:
    """What this relies on: Django's lazy object says in `_wrapped` whether anybody has asked for it."""
    request, answer = _answer(lambda _: HttpResponse())
    assert vars(request)["_messages"]._wrapped is empty
    assert not answer.cookies
