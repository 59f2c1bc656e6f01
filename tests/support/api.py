"""A client of the API for tests: JSON both ways, and every answer held against the committed OpenAPI document."""

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.test import Client
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from runs.services.api_keys import create_api_key
from tests.support.factories import make_actor

#: What Django's test client returns; its class has no name in the stubs.
Answer = Any

_DOCUMENT = Path(__file__).parents[2] / "docs/reference/openapi.yaml"


@dataclass
class Api:
    """One user with an API key."""

    user: Any
    key: str
    #: Off for answers that `select` has trimmed.
    checks_shape: bool = True
    client: Client = field(default_factory=Client)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send `body` as JSON (bytes and text as they are); header names with underscores."""
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        response = self.client.generic(
            method,
            path,
            b"" if body is None else content,
            content_type="application/json",
            headers={"x-api-key": self.key, **{name.replace("_", "-"): value for name, value in headers.items()}},
        )
        if self.checks_shape and not response.streaming:
            check_shape(method, path.partition("?")[0], response)
        return response

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """POST."""
        return self.request("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Answer:
        """PATCH."""
        return self.request("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        """DELETE."""
        return self.request("DELETE", path, **headers)


def make_api(name: str = "ada") -> Api:
    """A user with a key of their own."""
    user = make_actor(name).owner
    _, key = create_api_key(owner=user, name=f"key of {name}", key=f"{name:-<24}")
    return Api(user=user, key=key)


def check_shape(method: str, path: str, response: Answer) -> None:
    """Fail if the document does not describe this answer."""
    responses = _responses_of(method, path)
    described = responses.get(str(response.status_code), responses["default"])
    media = response.headers.get("Content-Type", "").partition(";")[0]
    if "content" not in described:
        assert response.content == b"", f"{method} {path} must not have a body"
        return
    assert media in described["content"], f"{method} {path} answered {response.status_code} as {media}"
    _validate(described["content"][media]["schema"], json.loads(response.content))


def assert_problem(response: Answer, status: int, code: str, *words: str) -> dict[str, Any]:
    """The answer is this problem, its detail is text that has these words; return it."""
    problem: dict[str, Any] = json.loads(response.content)
    assert (response.status_code, problem.get("code")) == (status, code), problem
    assert response["Content-Type"] == "application/problem+json"
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert isinstance(problem["detail"], str)
    assert [word for word in words if word not in problem["detail"]] == [], problem["detail"]
    return problem


@lru_cache(maxsize=1)
def document() -> Any:
    """The OpenAPI document."""
    return yaml.safe_load(_DOCUMENT.read_text())


def _responses_of(method: str, path: str) -> dict[str, Any]:
    templates = sorted(document()["paths"], key=lambda template: template.count("{"))
    template = next((one for one in templates if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), path)), None)
    operation = document()["paths"].get(template, {}).get(method.lower())
    responses: dict[str, Any] = (operation or next(iter(document()["paths"]["/ok"].values())))["responses"]
    return responses


def _validate(schema: Any, value: Any) -> None:
    registry: Registry[Any] = Registry().with_resource("openapi", Resource.from_contents(document(), DRAFT202012))
    schema = json.loads(json.dumps(schema).replace('"#/', '"openapi#/'))
    Draft202012Validator(schema, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)
