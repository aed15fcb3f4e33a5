"""How the pages look: colours for light and dark, type, cards. One style sheet; nothing is loaded from elsewhere.

Dark or light follows the system until somebody chooses; the choice is a cookie, so that a page comes in its colours at
once."""

from pathlib import Path
from typing import Final

THEME_COOKIE: Final = "ii_theme"
CHOICES: Final = {"auto": None, "light": False, "dark": True}

TRAIN, TEST, SIMULATION, OUTSIDE = "#1f9d67", "#e07b1a", "#3b78e7", "#98a2b3"
PASS, FAIL, ACCENT, AXIS, GRID = "#1f9d67", "#dc4b50", "#3b78e7", "#7b879b", "rgba(123,135,155,.22)"

STYLE: Final = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
LOGO: Final = (
    '<svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8" fill="#1f57d6"/><path d="M6 20l5-7'
    ' 4 4 5-9 6 12" fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round"'
    ' stroke-linejoin="round"/><circle cx="20" cy="8" r="2.6" fill="#fff"/></svg>'
)
FAVICON: Final = LOGO.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
SET_THEME: Final = "document.cookie = '{cookie}={choice};path=/;max-age=31536000;samesite=lax'"
