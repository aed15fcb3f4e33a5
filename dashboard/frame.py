"""What all pages share: head, navigation, the gateway's state, colours, and how a page says that something went
wrong."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from html import escape

from nicegui import app, context, ui

from client.errors import ClientError, GatewayError, GatewayUnavailable, NotFound, Refused
from dashboard import texts
from dashboard.gateway import state
from dashboard.markup import Html, note, problems
from dashboard.theme import CHOICES, LOGO, SET_THEME, STYLE, THEME_COOKIE

ICONS = {"auto": "brightness_auto", "light": "light_mode", "dark": "dark_mode"}
LOCAL_TIMES = """
<script>
document.addEventListener('mouseover', event => {
  const time = event.target.closest && event.target.closest('time.ii-time');
  if (time && !time.title) time.title = new Date(time.dateTime).toLocaleString() + ' (local)';
});
</script>
"""


RESPONSE_SECONDS = 60.0
page_at = partial(ui.page, response_timeout=RESPONSE_SECONDS)
"""Registers a page. The comparison of two large runs takes longer than the three seconds that NiceGUI waits by
itself."""


def install() -> None:
    """Once per process: styles for all pages."""
    app.config.quasar_config["brand"] = {"primary": "#1f57d6"}
    ui.add_head_html(f"<style>{STYLE}</style>{LOCAL_TIMES}", shared=True)


def show(piece: Html) -> ui.html:
    """Put a piece on the page. Behind a proxy that puts a prefix before every path, its links stay below it, as
    NiceGUI's own do."""
    prefix = context.client.request.headers.get("X-Forwarded-Prefix", "")
    return ui.html(piece, sanitize=partial(below, prefix) if prefix else False).classes("w-full ii-piece")


def below(prefix: str, piece: str) -> str:
    """The piece with the prefix before each of our links; what users wrote has no quotes in it any more."""
    return piece.replace('href="/', f'href="{escape(prefix)}/')


@contextmanager
def frame(title: str, here: str) -> Iterator[None]:
    """A page: everything around its content. `here` is the entry of the navigation that it belongs to."""
    ui.page_title(f"{title} · {texts.NAME}")
    with ui.element("div").style("display:contents"):
        ui.link(texts.SKIP, "#content").classes("ii-skip")
        with ui.element("header").classes("ii-top"), ui.element("div").classes("ii-top-in"):
            with ui.link(target="/").classes("plain ii-brand"):
                ui.html(LOGO, sanitize=False)
                ui.label(texts.NAME)
            with ui.element("nav").classes("ii-nav").props('aria-label="Main"'):
                for target, text in texts.NAV.items():
                    entry = ui.link(text, target)
                    if target == here:
                        entry.props('aria-current="page"')
            with ui.element("div").classes("ii-end"):
                _theme_button()
        with ui.element("div").classes("ii-page").props('id="content"'):
            _gateway_banner()
            yield


def _theme_button() -> None:
    request = ui.context.client.request
    chosen = request.cookies.get(THEME_COOKIE, "auto") if request is not None else "auto"
    choices = list(CHOICES)
    at = choices.index(chosen) if chosen in choices else 0
    mode = ui.dark_mode(CHOICES[choices[at]])
    button = (
        ui.button(icon=ICONS[choices[at]])
        .props(f'flat round dense aria-label="{texts.THEME[choices[at]]}"')
        .classes("ii-theme")
    )

    def turn() -> None:
        nonlocal at
        at = (at + 1) % len(choices)
        choice = choices[at]
        mode.value = CHOICES[choice]
        button.props(f'icon={ICONS[choice]} aria-label="{texts.THEME[choice]}"')
        ui.run_javascript(SET_THEME.format(cookie=THEME_COOKIE, choice=choice))

    button.on_click(turn)


def _gateway_banner() -> None:
    place = show(Html(""))
    place.set_visibility(False)
    shown: object = None

    def look() -> None:
        nonlocal shown
        now = state.parts() if state.down else None
        if now == shown:
            return
        shown = now
        place.set_visibility(now is not None)
        if now is not None:
            down = [f"{part}: {text}" for part, text in now if text != "ok"]
            place.set_content(
                note("bad", texts.GATEWAY_DOWN if state.readiness is None else texts.GATEWAY_UNREADY, down)
            )

    look()
    ui.timer(1.0, look)


async def guarded(build: Callable[[], Awaitable[None]]) -> None:
    """Build a page's content; where the gateway does not give it, say why, and come back by itself when it is only
    away."""
    with ui.element("div").classes("w-full").style("display:flex;flex-direction:column;gap:18px") as place:
        try:
            await build()
        except GatewayUnavailable as error:
            place.clear()
            with place:
                show(explained(error))
                ui.timer(1.5, lambda: ui.navigate.reload() if state.ready else None)
        except ClientError as error:
            place.clear()
            with place:
                show(explained(error))


def explained(error: ClientError, title: str = "") -> Html:
    """An error in the gateway's words."""
    if isinstance(error, NotFound):
        return note("warn", title or texts.NOT_FOUND, [str(problem) for problem in error.problems])
    if isinstance(error, Refused):
        return problems(title or texts.REFUSED, error.problems)
    if isinstance(error, GatewayError):
        heading = texts.GATEWAY_DOWN if isinstance(error, GatewayUnavailable) else texts.FAULT
        return problems(title or heading, error.problems)
    return note("bad", title or str(error))


async def sure(question: str, verb: str, *, kind: str = "negative") -> bool:
    """Ask before what cannot be undone."""
    with ui.dialog() as dialog, ui.card().style("max-width:min(92vw,520px)"):
        ui.label(question)
        with ui.row():
            ui.button(verb, on_click=lambda: dialog.submit(True)).props(f"unelevated no-caps color={kind}")
            ui.button(texts.CANCEL, on_click=lambda: dialog.submit(False)).props("flat no-caps color=primary")
    answer = bool(await dialog)
    dialog.delete()
    return answer


def heading(title: str, lead: str = "") -> None:
    with ui.element("div").style("display:flex;flex-direction:column;gap:6px"):
        ui.html(f'<h1 class="ii-h1">{escape(title)}</h1>', sanitize=False)
        if lead:
            ui.html(f'<p class="ii-lead">{escape(lead)}</p>', sanitize=False)


@contextmanager
def card(title: str = "") -> Iterator[ui.element]:
    with ui.element("section").classes("ii-card") as place:
        if title:
            ui.html(f'<h2 class="ii-h2">{escape(title)}</h2>', sanitize=False)
        yield place
