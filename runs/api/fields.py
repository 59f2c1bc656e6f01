"""Serializer fields that take JSON at its word: "5" is not a number, 1 is not true, and nothing is converted."""

import json
from functools import cache
from typing import Any, ClassVar, Self
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

_UUID_LENGTHS = (32, 36)
_NAMED_AT_MOST = 10
_QUERY_FLAGS = {"1": True, "true": True, "0": False, "false": False}


def parse_uuid(text: Any) -> UUID | None:
    """Return the id, with or without dashes, in either case; None if it is not one."""
    if not isinstance(text, str) or len(text) not in _UUID_LENGTHS:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


class TextField(serializers.CharField):
    """A JSON string."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        """Refuse numbers, which CharField would convert."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    """A JSON true or false."""

    def to_internal_value(self, data: Any) -> bool:
        """Refuse "yes", 1 and the like, which BooleanField would convert."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class NumberField(serializers.FloatField):
    """A JSON number."""

    def to_internal_value(self, data: Any) -> float:
        """Refuse text and booleans, which FloatField would convert."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return float(data)


class WholeNumberField(serializers.IntegerField):
    """A JSON number without a fraction."""

    def to_internal_value(self, data: Any) -> int:
        """Refuse text and booleans, which IntegerField would convert."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class IdField(serializers.UUIDField):
    """A JSON string that is a UUID."""

    def to_internal_value(self, data: Any) -> UUID:
        """Refuse numbers and URNs, which UUIDField would convert."""
        found = parse_uuid(data)
        if found is None:
            self.fail("invalid", value=data)
        return found


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ObjectField(serializers.DictField):
    """A JSON object with any content."""

    default_error_messages: ClassVar[dict[str, Any]] = {"not_a_dict": "Must be an object."}


@extend_schema_field({})
class AnyField(serializers.Field[Any, Any, Any, Any]):
    """Any JSON value; whether it can be stored has been decided for the whole body."""

    def to_internal_value(self, data: Any) -> Any:
        """Take it as it is."""
        return data

    def to_representation(self, value: Any) -> Any:
        """Give it as it is."""
        return value


@extend_schema_field({"const": None})
class NothingField(AnyField):
    """An option that is not supported yet: whoever sends it is told, instead of finding out that it had no effect."""

    default_error_messages: ClassVar[dict[str, Any]] = {"unsupported": "This option is not supported."}

    def __init__(self, *, instead: str = "", **options: Any) -> None:
        super().__init__(required=False, help_text="Not supported.", **options)
        self.instead = instead

    def to_internal_value(self, data: Any) -> None:
        """Null has been dropped before; an empty list or object asks for nothing either."""
        if data in ([], {}):
            return
        raise serializers.ValidationError(self.instead or self.error_messages["unsupported"])


class _ReadingSerializer(serializers.Serializer[Any]):
    """A serializer that only reads a request. Its fields know nothing of it, so that all instances share them.

    DRF copies every declared field for each instance, and asks every field about every request, also the many that are
    absent and have nothing to say about that. Either costs more than what the fields are there for.
    """

    @property
    def fields(self) -> Any:
        """The fields, bound to an instance that is kept for them."""
        return _fields_of(type(self))

    def to_internal_value(self, data: Any) -> Any:
        """As DRF does, with the fields that are there, must be, or stand for something when they are not."""
        if not isinstance(data, dict):
            return super().to_internal_value(data)
        found: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, field, speaks in _questions_of(type(self)):
            if speaks or name in data:
                try:
                    found[name] = self._value_of(name, field, data)
                except serializers.ValidationError as error:
                    errors[name] = error.detail
                except serializers.SkipField:
                    pass
        if errors:
            raise serializers.ValidationError(errors)
        return found

    def _value_of(self, name: str, field: Any, data: dict[str, Any]) -> Any:
        value = field.run_validation(field.get_value(data))
        check = getattr(self, f"validate_{name}", None)
        return value if check is None else check(value)

    def _read_only_defaults(self) -> dict[str, Any]:
        return {}  # DRF looks for them among all fields


@cache
def _fields_of(serializer: type[serializers.Serializer[Any]]) -> Any:
    return serializers.Serializer.fields.func(serializer())  # type: ignore[attr-defined] # a cached_property


@cache
def _questions_of(serializer: type[serializers.Serializer[Any]]) -> list[tuple[str, Any, bool]]:
    """Each field, and whether it is to be asked also when it is absent."""
    return [
        (name, field, field.required or field.default is not serializers.empty)
        for name, field in _fields_of(serializer).items()
    ]


class StrictSerializer(_ReadingSerializer):
    """The object in a body: unknown members are refused by name, null means the same as absent."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid": "Must be a JSON object."}

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what is not known here; a serializer would ignore it."""
        if not isinstance(data, dict):
            return super().to_internal_value(data)
        refuse_unknown(data, self.fields)
        return super().to_internal_value({name: value for name, value in data.items() if value is not None})


class QuerySerializer(_ReadingSerializer):
    """The query string: strict like a body. Lists may be repeated or one JSON list; SDKs do either."""

    @classmethod
    def of(cls, request: Request) -> Self:
        """The serializer of this request's query string."""
        query = request.query_params
        lists = {name for name, field, _ in _questions_of(cls) if isinstance(field, serializers.ListField)}
        return cls(data={name: _as_list(query.getlist(name)) if name in lists else query[name] for name in query})

    def to_internal_value(self, data: Any) -> Any:
        """Refuse unknown parameters by name."""
        refuse_unknown(data, self.fields)
        return super().to_internal_value(data)


class QueryFlagField(serializers.BooleanField):
    """0, 1, true or false in a query string."""

    def to_internal_value(self, data: Any) -> bool:
        """Refuse the other words that BooleanField knows."""
        found = _QUERY_FLAGS.get(str(data).lower())
        if found is None:
            self.fail("invalid", input=data)
        return found


def refuse_unknown(data: dict[str, Any], known: Any) -> None:
    """Raise ValidationError that names the members of `data` that are not known."""
    unknown = sorted(set(data) - set(known))[:_NAMED_AT_MOST]
    if unknown:
        raise serializers.ValidationError(dict.fromkeys(unknown, "This option is not known."))


def _as_list(values: list[str]) -> list[Any]:
    if len(values) == 1 and values[0].startswith("["):
        try:
            parsed = json.loads(values[0])
        except (ValueError, RecursionError):
            return values
        return parsed if isinstance(parsed, list) else values
    return [value for value in values if value]
