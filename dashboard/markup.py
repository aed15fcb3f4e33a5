"""Pieces of a page as HTML. Pure; every text of users is escaped here, so pages never do it.

A piece is of type `Html`; a plain string that is put into a piece is text.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from client.errors import RequestProblem
from dashboard import figures, texts
from schemas.manifests import ConfusionMatrix


class Html(str):
    """Text that is HTML already."""


Piece = str | Html


def html(piece: Piece) -> Html:
    """HTML of a piece: escaped unless it is HTML."""
    return piece if isinstance(piece, Html) else Html(escape(piece))


def joined(pieces: Iterable[Piece], between: str = "") -> Html:
    return Html(between.join(html(piece) for piece in pieces))


def metric(name: str, value: Piece, note: Piece = "", *, hint: str = "") -> Html:
    """A figure with its name."""
    title = f' title="{escape(hint)}"' if hint else ""
    below = f'<div class="n">{html(note)}</div>' if note else ""
    return Html(
        f'<div class="ii-metric"{title}><div class="k">{escape(name)}</div><div'
        f' class="v">{html(value)}</div>{below}</div>'
    )


def cards(metrics: Iterable[Html], *, tight: bool = False) -> Html:
    return Html(f'<div class="ii-cards{" tight" if tight else ""}">{"".join(metrics)}</div>')


def facts(rows: Iterable[tuple[str, Piece]]) -> Html:
    """Names and values."""
    return Html(
        '<dl class="ii-facts">'
        + "".join(f"<dt>{escape(name)}</dt><dd>{html(value)}</dd>" for name, value in rows)
        + "</dl>"
    )


def muted(text: str) -> Html:
    """Text that says there is nothing to show."""
    return Html(f'<span class="ii-muted">{escape(text)}</span>')


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Piece]], *, caption: str, dense: bool = False, bounded: bool = False
) -> Html:
    """A table that scrolls sideways by itself, `bounded` also up and down. A column whose name ends in a blank holds
    numbers.

    `caption` is for screen readers.
    """
    numbers = [' class="num"' if name.endswith(" ") else "" for name in columns]
    head = "".join(
        f'<th scope="col"{mark}>{escape(name.strip())}</th>' for name, mark in zip(columns, numbers, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(f"<td{mark}>{html(cell)}</td>" for cell, mark in zip(row, numbers, strict=True)) + "</tr>"
        for row in rows
    )
    kind, place = "ii-table dense" if dense else "ii-table", "ii-scroll bounded" if bounded else "ii-scroll"
    return Html(
        f'<div class="{place}" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="{kind}"><caption'
        f' class="ii-sr">{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def link(target: str, text: Piece) -> Html:
    return Html(f'<a class="link" href="{escape(target)}">{html(text)}</a>')


def mono(text: str) -> Html:
    return Html(f'<span class="ii-mono">{escape(text)}</span>')


def badge(text: str, kind: str = "") -> Html:
    """A word on a coloured ground; the word says it, the colour helps."""
    return Html(f'<span class="ii-badge {kind}">{escape(text)}</span>')


def verdict(prediction: str) -> Html:
    return badge("✓ PASS", "good") if prediction == "PASS" else badge("✗ FAIL", "bad")


STATUS_KINDS: Mapping[str, str] = {
    "COMPLETED": "good",
    "FAILED": "bad",
    "STOPPED": "warn",
    "PAUSED": "warn",
    "IN_PROGRESS": "live",
}
STATUS_SIGNS: Mapping[str, str] = {
    "COMPLETED": "✓",
    "FAILED": "✗",
    "STOPPED": "■",
    "PAUSED": "❚❚",
    "IN_PROGRESS": "▶",
    "PENDING": "…",
}


def status(word: str) -> Html:
    return badge(f"{STATUS_SIGNS.get(word, '')} {texts.STATUS.get(word, word)}", STATUS_KINDS.get(word, ""))


def time(value: object) -> Html:
    """A time in UTC; on hover the local one, filled in by the browser."""
    from datetime import datetime

    if not isinstance(value, datetime):
        return Html(figures.DASH)
    return Html(f'<time datetime="{figures.exact(value)}" class="ii-time">{figures.moment(value)}</time>')


def note(kind: str, title: Piece, items: Iterable[Piece] = ()) -> Html:
    """A message: `bad`, `warn`, `info` or `good`."""
    listed = "".join(f"<li>{html(item)}</li>" for item in items)
    signs = {"bad": "✗", "warn": "!", "info": "i", "good": "✓"}
    role = "alert" if kind == "bad" else "status"
    return Html(
        f'<div class="ii-note {kind}" role="{role}"><b aria-hidden="true">{signs[kind]}</b><div>{html(title)}'
        + (f"<ul>{listed}</ul>" if listed else "")
        + "</div></div>"
    )


def problems(title: str, found: Iterable[RequestProblem]) -> Html:
    """Everything that the gateway found wrong, in its words."""
    items = []
    for problem in found:
        where = problem.field.removeprefix("body.").removeprefix("body")
        items.append(Html(f"<b>{escape(where)}</b>: {escape(problem.message)}") if where else html(problem.message))
    return note("bad", title, items)


def bar(fraction: float, label: str) -> Html:
    percent = 100 * min(max(fraction, 0.0), 1.0)
    return Html(
        f'<div class="ii-bar" role="progressbar" aria-label="{escape(label)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent:.0f}"><i style="width:{percent:.2f}%"></i></div>'
    )


def matrix(found: ConfusionMatrix) -> Html:
    """Truth by row, prediction by column."""
    cell = '<div class="c {}"><b>{}</b>{}</div>'
    return Html(
        '<div class="ii-matrix" role="group" aria-label="' + escape(texts.CONFUSION) + '">'
        f'<div class="h"></div><div class="h">{texts.PREDICTED_FAIL}</div><div class="h">{texts.PREDICTED_PASS}</div>'
        f'<div class="h">{texts.IS_FAIL}</div>'
        + cell.format("ok", figures.count(found.true_positives), texts.TRUE_POSITIVES)
        + cell.format("no", figures.count(found.false_negatives), texts.FALSE_NEGATIVES)
        + f'<div class="h">{texts.IS_PASS}</div>'
        + cell.format("no", figures.count(found.false_positives), texts.FALSE_POSITIVES)
        + cell.format("ok", figures.count(found.true_negatives), texts.TRUE_NEGATIVES)
        + "</div>"
    )


def reasons(contributions: Mapping[str, float], values: Mapping[str, float | str | None]) -> Html:
    """Why a row was scored so: the largest contributions, towards FAIL up, towards PASS down."""
    chips = []
    for name, amount in contributions.items():
        value = values.get(name)
        shown = texts.MISSING_VALUE if value is None else escape(value) if isinstance(value, str) else f"{value:,.4g}"
        direction, side = ("up", texts.TOWARDS_FAIL) if amount > 0 else ("dn", texts.TOWARDS_PASS)
        chips.append(
            f'<span class="ii-chip" title="{escape(name)} = {shown}: {side}"><span>{escape(name)}</span>'
            f'<span class="{direction}">{"▲" if amount > 0 else "▼"} {figures.signed(amount)}</span></span>'
        )
    return Html(" ".join(chips) or figures.DASH)
