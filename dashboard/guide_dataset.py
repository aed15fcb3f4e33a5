"""Step 1 of the guide, after the upload: see how the file was read, read it differently."""

from collections.abc import Sequence
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement

from client.errors import ClientError
from dashboard import charts, figures, texts
from dashboard.frame import card, frame, guarded, heading, page_at, show
from dashboard.gateway import client
from dashboard.markup import Html, badge, cards, facts, html, joined, metric, mono, note, table, time
from dashboard.stepper import stepper
from dashboard.uploads import Kept, deliver, mark, setting_inputs, settings_of
from schemas.http.shared import TaskStatus
from schemas.http.v1 import Dataset, DatasetPreview
from schemas.manifests import Choice, SpanCount

PREVIEW_COLUMNS = 12
MISSING_SHOWN = 20
BEST_SHOWN = 6
POLL_SECONDS = 0.7
MORE_SETTINGS = [
    name for name in texts.UPLOAD_FIELDS if name not in ("label", "pass_value", "id_column", "time_column")
]


def register(kept: Kept) -> None:
    @page_at("/guide/dataset/{dataset_id}")
    async def dataset_page(dataset_id: str) -> None:
        with frame(texts.STEPS[0][0], "/"):
            stepper(0, {0: "/", 1: f"/guide/ranges/{dataset_id}"})
            await guarded(lambda: _dataset(kept, dataset_id))


async def _dataset(kept: Kept, dataset_id: str) -> None:
    found = await client.dataset(dataset_id)
    preview = await client.preview(dataset_id, limit=8)
    heading(found.file_name, texts.DATASET_LEAD)
    labels = found.labels
    total = max(labels.pass_count + labels.fail_count, 1)
    show(
        cards(
            [
                metric(texts.RECORDS, figures.count(found.row_count)),
                metric(
                    texts.COLUMNS,
                    figures.count(found.column_count),
                    f"{figures.count(len(found.features))} {texts.FEATURES.lower()}",
                ),
                metric(texts.PASS_RATE, figures.share(labels.pass_count / total, 2)),
                metric(texts.FILE_SIZE, figures.size(found.file_size), mono(dataset_id)),
            ]
        )
    )
    with ui.element("div").classes("ii-two"):
        with card(texts.LABEL_TITLE):
            show(_meaning(found))
        with card(texts.READ_TITLE):
            show(_settings(found))
    with card(texts.REPORT_TITLE):
        show(_report(found))
    _ranking(found.feature_selection_task_id)
    with ui.element("div").classes("ii-row"):
        ui.button(texts.TO_RANGES, on_click=lambda: ui.navigate.to(f"/guide/ranges/{dataset_id}")).props(
            "unelevated no-caps color=primary size=md"
        )
    with card(texts.PREVIEW):
        show(_preview(preview))
    with ui.element("div").classes("ii-two"):
        with card(texts.MISSING_TITLE):
            _missing(found)
        with card(texts.CHANGE_TITLE):
            _change(kept, found)


def _meaning(found: Dataset) -> Html:
    labels = found.labels
    total = max(labels.pass_count + labels.fail_count, 1)
    passed = 100 * labels.pass_count / total
    name = found.label.value
    line = (
        '<div style="display:flex;justify-content:space-between;gap:12px;align-items:baseline">{} <span><b>{}</b>'
        " {}</span></div>"
    )
    return Html(
        line.format(
            badge("✓ PASS", "good"),
            html(f"{name} = {labels.pass_value}"),
            html(texts.ROWS.format(count=figures.count(labels.pass_count))),
        )
        + f'<div class="ii-bars" style="margin:10px 0" role="img" aria-label="{passed:.1f} % PASS">'
        + f'<i style="width:{passed:.3f}%;background:var(--train)"></i><i'
        f' style="width:{100 - passed:.3f}%;background:#dc4b50"></i></div>'
        + line.format(
            badge("✗ FAIL", "bad"),
            html(f"{name} = {labels.fail_value}"),
            html(texts.ROWS.format(count=figures.count(labels.fail_count))),
        )
    )


def _report(found: Dataset) -> Html:
    """How the file was read, what was left out, which columns may give the label away."""
    report = found.report
    if report is None:
        return html(texts.REPORT_NONE)
    parts = [
        note(
            "info",
            texts.READ_TITLE,
            [f"{report.encoding}: {report.encoding_reason}.", *(one.message for one in report.notices)],
        )
    ]
    if report.suspects:
        parts.append(note("warn", texts.REPORT_SUSPECTS, [one.reason for one in report.suspects]))
    if report.left_out:
        title = texts.REPORT_LEFT_OUT.format(count=len(report.left_out))
        parts.append(note("info", title, [f"{one.column}: {one.reason}" for one in report.left_out[:MISSING_SHOWN]]))
    parts.append(_over_time(report.failures_over_time))
    return joined(parts)


def _over_time(spans: Sequence[SpanCount]) -> Html:
    """Rows and failures in equal spans of the file's time."""
    rows = [
        [
            time(span.start),
            figures.count(span.rows),
            figures.count(span.failures),
            figures.share(span.failures / max(span.rows, 1)),
        ]
        for span in spans
    ]
    shown = table(texts.COLUMNS_OVER_TIME, rows, caption=texts.REPORT_OVER_TIME, dense=True)
    return joined([Html(f'<div class="ii-muted ii-small">{html(texts.REPORT_OVER_TIME)}</div>'), shown])


def _settings(found: Dataset) -> Html:
    def chosen(choice: Choice) -> Html:
        how = texts.DETECTED if choice.detected else texts.GIVEN
        return Html(
            f'<b>{html(choice.value)}</b> {badge(how)}<div class="ii-muted ii-small">{html(choice.reason)}</div>'
        )

    time_text = Html(f'<b>{html(found.time.column)}</b><div class="ii-muted ii-small">{html(found.time.reason)}</div>')
    span = Html(f"{time(found.first_timestamp)} – {time(found.last_timestamp)} UTC")
    identity = chosen(found.id_column) if found.id_column else html(texts.ROW_NUMBER)
    return facts(
        [(texts.LABEL, chosen(found.label)), (texts.ID, identity), (texts.TIME, time_text), (texts.TIME_RANGE, span)]
    )


def _ranking(task_id: str) -> None:
    place = show(note("info", texts.RANKING))

    async def look() -> None:
        try:
            status = await client.task(task_id)
        except ClientError:
            return
        place.set_content(_ranking_text(status))
        if status.status in ("COMPLETED", "FAILED", "STOPPED"):
            timer.deactivate()

    timer = ui.timer(POLL_SECONDS, look, immediate=True)


def _ranking_text(status: TaskStatus) -> Html:
    if status.status == "COMPLETED":
        result = status.result or {}
        best = ", ".join(str(one["feature"]) for one in (result.get("best") or [])[:BEST_SHOWN])
        counts = {name: figures.count(result.get(name)) for name in ("selected", "considered")}
        return note("good", f"{texts.RANKED.format(**counts)}: {best} …" if best else texts.RANKED.format(**counts))
    if status.status in ("FAILED", "STOPPED"):
        return note("bad", texts.RANKING_FAILED, [status.error or ""])
    percent = (status.progress or {}).get("percent")
    return note("info", texts.RANKING if percent is None else f"{texts.RANKING}: {percent:.0f} %")


def _preview(preview: DatasetPreview) -> Html:
    names = preview.columns
    ends = [*range(min(len(names), PREVIEW_COLUMNS - 1)), *([len(names) - 1] if len(names) >= PREVIEW_COLUMNS else [])]
    rows = [
        [Html(f'<span class="ii-muted">{texts.MISSING_VALUE}</span>') if row[i] is None else str(row[i]) for i in ends]
        for row in preview.rows
    ]
    return table([names[i] for i in ends], rows, caption=texts.PREVIEW)


def _missing(found: Dataset) -> None:
    """The columns with the most missing values as a chart, and every column as a list."""
    missing = sorted((column for column in found.columns if column.missing), key=lambda column: -column.missing)
    if not missing:
        ui.label(texts.MISSING_NONE).classes("ii-muted")
    else:
        shown = missing[:MISSING_SHOWN]
        text = texts.MISSING_TEXT.format(
            count=figures.count(len(missing)), total=figures.count(len(found.columns)), shown=len(shown)
        )
        ui.label(text).classes("ii-muted ii-small")
        shares = [100 * column.missing / max(found.row_count, 1) for column in shown]
        ui.echart(charts.ranking([column.name for column in shown], shares, percent=True)).style(
            f"height:{60 + 17 * len(shown)}px"
        )
    with (
        ui.expansion(texts.ALL_COLUMNS.format(count=figures.count(len(found.columns))))
        .classes("w-full ii-expansion")
        .props("dense")
    ):
        wanted = ui.input(texts.FIND_COLUMN).props("outlined dense clearable").classes("w-full")
        place = show(_columns(found, ""))
        wanted.on_value_change(lambda change: place.set_content(_columns(found, change.value or "")))


def _columns(found: Dataset, part: str) -> Html:
    rows = [
        [
            column.name,
            texts.COLUMN_TYPES[column.type],
            figures.count(column.missing),
            figures.share(column.missing / max(found.row_count, 1)),
            column.reason or column.left_out or (texts.CONSTANT if column.constant else ""),
        ]
        for column in found.columns
        if part.lower() in column.name.lower()
    ]
    return table(texts.COLUMNS_COLUMNS, rows, caption=texts.MISSING_TITLE, dense=True, bounded=True)


def _change(kept: Kept, found: Dataset) -> None:
    upload = kept.find(found.dataset_id)
    if upload is None:
        ui.label(texts.CHANGE_GONE).classes("ii-muted")
        return
    path, name = upload
    ui.label(texts.CHANGE_TEXT).classes("ii-muted ii-small")
    columns = [column.name for column in found.columns]
    detect = {"": texts.CHANGE_DETECT}
    names = detect | {column: column for column in columns}
    label = ui.select(names, value=found.label.value, label=texts.LABEL, with_input=True)
    passes = ui.select(
        {found.labels.pass_value: found.labels.pass_value, found.labels.fail_value: found.labels.fail_value},
        value=found.labels.pass_value, label=texts.PASS_VALUE, new_value_mode="add-unique", with_input=True,
    )  # fmt: skip
    identity = ui.select(names, value=found.id_column.value if found.id_column else "", label=texts.ID, with_input=True)
    times = ui.select(
        detect | {"synthetic_timestamp": "synthetic_timestamp"} | names, value="", label=texts.TIME, with_input=True
    )
    fields: dict[str, ValidationElement[Any]] = {
        "label": label,
        "pass_value": passes,
        "id_column": identity,
        "time_column": times,
    }
    for field in fields.values():
        field.props("outlined dense").classes("w-full")
    more = setting_inputs(MORE_SETTINGS)
    progress = show(Html(""))

    async def again() -> None:
        options = settings_of(more)
        if label.value:
            options["label"] = label.value
        if passes.value:
            options["pass_value"] = str(passes.value)
        if identity.value:
            options["id_column"] = identity.value
        if times.value:
            options["time_column"] = times.value
        mark(fields | more, await deliver(kept, path, name, progress, options))

    ui.button(texts.CHANGE_AGAIN, on_click=again).props("outline no-caps color=primary")
