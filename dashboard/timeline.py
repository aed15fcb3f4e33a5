"""The timeline that ranges are dragged on: `timeline.js` drawn by the browser, moved here when a time is typed."""

from collections.abc import Callable, Mapping, Sequence

from nicegui import events
from nicegui.element import Element

from dashboard import texts

Places = Mapping[str, tuple[int, int]]
"""Of each set the first span, and the first span behind it."""


class TimelineChart(Element, component="timeline.js"):
    """Records and failures per span; `labels` are the times between the spans, one more than there are spans."""

    def __init__(
        self,
        rows: Sequence[int],
        failures: Sequence[int],
        labels: Sequence[str],
        places: Places,
        moved: Callable[[str, int, int], None],
    ) -> None:
        super().__init__()
        self._props["rows"] = list(rows)
        self._props["failures"] = list(failures)
        self._props["labels"] = list(labels)
        self._props["title"] = texts.TIMELINE
        self._props["words"] = {
            **texts.SETS,
            "ends": [texts.RANGE_START, texts.RANGE_END],
            "rows": texts.ROWS_WORD,
            "failures": texts.FAILURES,
        }
        self._props["ranges"] = _listed(places)
        self.on("range", lambda event: moved(*_arguments(event)))

    def place(self, places: Places) -> None:
        """Move the ranges."""
        self._props["ranges"] = _listed(places)
        self.update()


def _listed(places: Places) -> dict[str, list[int]]:
    return {name: list(range_) for name, range_ in places.items()}


def _arguments(event: events.GenericEventArguments) -> tuple[str, int, int]:
    return str(event.args["name"]), int(event.args["from"]), int(event.args["to"])
