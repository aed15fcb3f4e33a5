"""Reading predictions page by page. Pure; the clients ask."""

from collections.abc import Sequence

from schemas.http.runs import PredictionPage, PredictionView

PAGE_ROWS = 500


class Pages:
    """Where the reader stands. `wanted` is how many rows to ask for next, 0 at the end."""

    def __init__(self, after: int | str, limit: int | None) -> None:
        self.after = after
        self._left = limit
        self._more = True

    @property
    def wanted(self) -> int:
        if not self._more:
            return 0
        return PAGE_ROWS if self._left is None else min(PAGE_ROWS, self._left)

    def take(self, page: PredictionPage) -> Sequence[PredictionView]:
        """The rows of this page; the next one begins behind them. A page without rows is the end for now."""
        self.after = page.next_after
        self._more = bool(page.items) and not page.complete
        if self._left is not None:
            self._left -= len(page.items)
        return page.items
