"""What the service offers, read off its OpenAPI document: which methods a path has, which query parameters each takes.
Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl

from schemas.http.shared import Problem

PARAMETER = re.compile(r"\{[^}]*\}")


def route_path(scope: Mapping[str, Any]) -> str:
    """The request's path without the prefix that a proxy puts before all of ours."""
    path: str = scope["path"]
    prefix = scope.get("root_path", "")
    return path[len(prefix) :] if prefix and path.startswith(f"{prefix}/") else path


@dataclass(frozen=True, slots=True)
class Operation:
    """A path as documented, and for each of its methods the query parameters; those in `many` may be given more than
    once."""

    template: str
    pattern: re.Pattern[str]
    methods: Mapping[str, frozenset[str]]
    many: frozenset[str]


class Operations:
    """All documented paths."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._all = [_operation(template, methods) for template, methods in document["paths"].items()]

    def allowed(self, path: str) -> list[str]:
        """The methods that some route has for this path; HEAD goes with GET."""
        methods = {method for one in self._all if one.pattern.fullmatch(path) for method in one.methods}
        return sorted(methods | ({"HEAD"} if "GET" in methods else set()))

    def documented_case(self, path: str) -> str:
        """The path with its fixed parts written as documented, whatever their case; as it is when there is none like
        it."""
        for one in self._all:
            if found := re.fullmatch(one.pattern.pattern, path, re.IGNORECASE):
                return PARAMETER.sub("{}", one.template).format(*found.groups())
        return path

    def wrong_query(self, method: str, path: str, query: str) -> list[Problem]:
        """The query parameters that this operation does not have, and those that are given twice; none for an unknown
        path."""
        operation = next((one for one in self._all if method in one.methods and one.pattern.fullmatch(path)), None)
        if operation is None:
            return []
        names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
        known = operation.methods[method]
        twice = {name for name in known - operation.many if names.count(name) > 1}
        return unknown(names, known, "query") + [_twice(name) for name in sorted(twice)]


def unknown(names: Iterable[str], known: Iterable[str], where: str) -> list[Problem]:
    """A problem for each name that is none of `known`, with the one that may have been meant. `where`: `query`, `body`
    …"""
    has = sorted(known)
    return [
        Problem(loc=[where, name[:80]], msg=f"{_none_such(name, has, where)}", type="value_error.unknown_parameter")
        for name in dict.fromkeys(names)
        if name not in has
    ]


def _none_such(name: str, known: list[str], where: str) -> str:
    what = "query parameter" if where == "query" else "field"
    meant = get_close_matches(name.lower(), known, 1, 0.6)
    if meant:
        hint = f"did you mean {meant[0]!r}?"
    else:
        hint = f"there {'is' if len(known) == 1 else 'are'}: {', '.join(known)}." if known else "there is none."
    return f"There is no {what} {name!r:.80} here; {hint}"


def _twice(name: str) -> Problem:
    return Problem(loc=["query", name], msg=f"{name!r} is given more than once.", type="value_error.repeated_parameter")


def _operation(template: str, methods: Mapping[str, Any]) -> Operation:
    pattern = "".join(
        "([^/]+)" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]*\})", template)
    )
    queries = {method.upper(): _query(operation) for method, operation in methods.items()}
    many = frozenset(
        one["name"]
        for operation in methods.values()
        for one in _query_parameters(operation)
        if one["schema"].get("type") == "array"
    )
    return Operation(template, re.compile(pattern), queries, many)


def _query(operation: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(one["name"] for one in _query_parameters(operation))


def _query_parameters(operation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in operation.get("parameters", ()) if one["in"] == "query"]
