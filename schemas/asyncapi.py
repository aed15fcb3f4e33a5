"""The AsyncAPI 3 document: every topic, what travels through it, and who writes it, from `schemas.topics` and the
messages. Pure."""

from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas import messages as m
from schemas import topics as t
from schemas.manifests import DatasetManifest, ModelManifest, SplitManifest
from schemas.tasks import Command, LogEntry, Quarantined, RunPosition, TaskState

Message = type[msgspec.Struct] | type[BaseModel]
REF = "#/components/schemas/{name}"
CARRIED: dict[t.Topic, tuple[Message, ...]] = {
    t.ROWS: (m.Row, m.PackedRows, m.RunEnd, m.RunSkip, m.Purge),
    t.INGRESS: (m.Row, m.PackedRows),
    t.PREDICTIONS: (m.Prediction,),
    t.DEAD_LETTERS: (m.DeadLetter, m.DeadLetterMark),
    t.STATS_CHANGELOG: (m.LaneStats,),
    t.TASKS: (TaskState,),
    t.RUN_COMMANDS: (Command,),
    t.TRAINING_COMMANDS: (Command,),
    t.RUN_POSITIONS: (RunPosition,),
    t.MODELS: (ModelManifest, m.Alias),
    t.DATASETS: (DatasetManifest, SplitManifest),
    t.TASK_LOGS: (LogEntry,),
    t.QUARANTINE: (Quarantined,),
}
OTHER_SYSTEM = "any other system"
WRITERS: dict[t.Topic, tuple[str, ...]] = {
    t.ROWS: ("producer", "gateway"),
    t.INGRESS: (OTHER_SYSTEM,),
    t.PREDICTIONS: ("stream_processor",),
    t.DEAD_LETTERS: ("stream_processor",),
    t.STATS_CHANGELOG: ("stream_processor",),
    t.TASKS: ("gateway", "producer", "trainer"),
    t.RUN_COMMANDS: ("gateway", "stream_processor"),
    t.TRAINING_COMMANDS: ("gateway",),
    t.RUN_POSITIONS: ("producer",),
    t.MODELS: ("trainer", "gateway"),
    t.DATASETS: ("gateway",),
    t.TASK_LOGS: ("trainer",),
    t.QUARANTINE: ("gateway", "producer", "trainer"),
}
READERS: dict[t.Topic, tuple[str, ...]] = {
    t.ROWS: ("stream_processor", "producer", "gateway"),
    t.INGRESS: ("stream_processor", "producer", "gateway"),
    t.PREDICTIONS: ("gateway", OTHER_SYSTEM),
    t.DEAD_LETTERS: ("gateway", OTHER_SYSTEM),
    t.STATS_CHANGELOG: ("stream_processor", "gateway"),
    t.TASKS: ("gateway", "producer", "trainer"),
    t.RUN_COMMANDS: ("producer",),
    t.TRAINING_COMMANDS: ("trainer",),
    t.RUN_POSITIONS: ("producer", "stream_processor", "gateway", "trainer"),
    t.MODELS: ("gateway", "stream_processor", "producer"),
    t.DATASETS: ("gateway",),
    t.TASK_LOGS: ("gateway",),
    t.QUARANTINE: ("gateway", "producer", "trainer"),
}
TYPES: dict[Message, str] = {
    m.Row: "row",
    m.PackedRows: "row",
    m.RunEnd: "run-end",
    m.RunSkip: "run-skip",
    m.Purge: "purge",
    m.DeadLetterMark: t.MARK_TYPE.decode(),
}


def document(version: str) -> dict[str, Any]:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "IntelliInspect topics",
            "version": version,
            "description": (
                "Read with isolation_level=read_committed, which is not the default of most clients: else records of"
                " transactions that were aborted are seen, and predictions twice. Other systems send rows to"
                " ingress.rows.v1 and to no other topic. A null value is the deletion of its key."
            ),
        },
        "defaultContentType": t.JSON.decode(),
        "channels": {topic.name: _channel(topic) for topic in t.TOPICS},
        "operations": {f"write-{topic.name}": _operation(topic) for topic in t.TOPICS},
        "components": {"messages": {kind.__name__: _message(kind) for kind in _kinds()}, "schemas": _schemas()},
    }


def _kinds() -> list[Message]:
    return list(dict.fromkeys(kind for kinds in CARRIED.values() for kind in kinds))


def _channel(topic: t.Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": topic.holds,
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in CARRIED[topic]},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": {
                    "cleanup.policy": [topic.cleanup],
                    "max.message.bytes": t.MAX_MESSAGE_BYTES,
                    **({"retention.ms": topic.retention_ms} if topic.retention_ms is not None else {}),
                },
            }
        },
        "x-key": topic.key,
        "x-partition-family": topic.family,
        "x-readers": list(READERS[topic]),
    }


def _operation(topic: t.Topic) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "x-writers": list(WRITERS[topic]),
        "x-readers": list(READERS[topic]),
    }


def _message(kind: Message) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": kind.__name__,
        "summary": " ".join((kind.__doc__ or "").split("\n\n")[0].split()),
        "payload": {"$ref": REF.format(name=kind.__name__)},
    }
    if kind in TYPES:
        headers = {
            t.TYPE_HEADER: {"const": TYPES[kind]},
            t.CONTENT_TYPE_HEADER: {"type": "string"},
            t.REDRIVE_HEADER: {"type": "string"},
        }
        required = [] if kind is m.Row else [t.TYPE_HEADER]
        if kind is m.PackedRows:
            message["contentType"] = t.PACKED.decode()
            required, headers[t.CONTENT_TYPE_HEADER] = [t.CONTENT_TYPE_HEADER], {"const": t.PACKED.decode()}
        message["headers"] = {"type": "object", "properties": headers, "required": required}
    return message


def _schemas() -> dict[str, Any]:
    structs = [kind for kind in _kinds() if issubclass(kind, msgspec.Struct)]
    models = [kind for kind in _kinds() if issubclass(kind, BaseModel)]
    _, from_structs = msgspec.json.schema_components(structs, ref_template=REF)
    _, from_models = models_json_schema(
        [(model, "serialization") for model in models], ref_template=REF.replace("{name}", "{model}")
    )
    return dict(sorted((from_structs | from_models["$defs"]).items()))
