"""The documents in `docs/` are what the code says. `python -m gateway.documents` writes them anew."""

import json

import pytest

from gateway.documents import FOLDER, documents, text
from schemas import topics
from schemas.asyncapi import CARRIED, WRITERS, document


@pytest.mark.parametrize("name", ["openapi.json", "asyncapi.json"])
def test_document_is_as_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == text(documents()[name]), "run: python -m gateway.documents"


def test_every_topic_is_described() -> None:
    assert set(CARRIED) == set(WRITERS) == set(topics.TOPICS)
    assert set(document("0")["channels"]) == {topic.name for topic in topics.TOPICS}


def test_every_reference_of_the_documents_leads_somewhere() -> None:
    for found in documents().values():
        for reference in _references(found):
            place = found
            for part in reference.removeprefix("#/").split("/"):
                place = place[part]


def test_every_operation_says_what_it_answers_when_it_fails() -> None:
    for path, operations in documents()["openapi.json"]["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            if path not in ("/", "/health", "/metrics", "/v1/system"):  # these answer whatever is down
                assert "503" in operation["responses"], (method, path)


def _references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for value in part.values() for found in _references(value)]
    return [found for value in part for found in _references(value)] if isinstance(part, list) else []


def test_documents_are_json_without_surprises() -> None:
    for found in documents().values():
        assert json.loads(text(found)) == found
