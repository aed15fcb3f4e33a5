"""The four steps of the guide, above each of its pages: which one is meant, and the way back to those that are done."""

from html import escape

from dashboard import texts
from dashboard.frame import show
from dashboard.markup import Html


def stepper(current: int, links: dict[int, str]) -> None:
    """Show the steps; `links` are the addresses of those that can be opened."""
    show(markup(current, links))


def markup(current: int, links: dict[int, str]) -> Html:
    items = []
    for number, (title, text) in enumerate(texts.STEPS):
        done = number < current
        kind = "now" if number == current else "done" if done else ""
        sign = "✓" if done else str(number + 1)
        inner = (
            f'<span class="no" aria-hidden="true">{sign}</span><span style="min-width:0"><span'
            f' class="t">{escape(title)}</span>'
        )
        inner += f'<span class="d" style="display:block">{escape(text)}</span></span>'
        mark = ' aria-current="step"' if number == current else ""
        target = links.get(number)
        body = (
            f'<a class="ii-step {kind}" href="{escape(target)}"{mark}>{inner}</a>'
            if target
            else f'<div class="ii-step {kind}"{mark}>{inner}</div>'
        )
        items.append(f"<li>{body}</li>")
    return Html(f'<ol class="ii-steps" aria-label="{escape(texts.NAV["/"])}">{"".join(items)}</ol>')
