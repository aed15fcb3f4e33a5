"""What a row of units, a ruler and a number look like, by the text of their cells. Pure."""

import re

NUMBER = re.compile(r"^[+-]?(\d+([.,]\d+)*|[.,]\d+)([eE][+-]?\d+)?$")
UNIT = re.compile(
    r"^[\[(<]?\s*(°\s*[CFK]|º[CF]|℃|℉|%|‰|deg\w*|[kmcµμnMGh]?(m|s|g|A|V|W|N|Nm|Pa|bar|Hz|l|L|t|mol|Ω|ohm|Ohm|J|K|T|B|Wh|VA|VAr|F|C|H)"
    r"|min|h|d|rpm|U/min|1/min|1/s|psi|ppm|ppb|pcs|pH|dB|[a-zµμ°]{1,3}/[a-z0-9²³^]{1,4}|m[²³23]|mm[²³23]|cm[²³23]|Stk\.?|sec|unit|units|-|–)\s*[\])>]?$"
)
"""A cell of a row of units."""
RULER = re.compile(r":?[-=─]{2,}:?")
REAL_UNIT = re.compile(r"\w|[°%‰℃℉Ω]")


def no_numbers(record: list[str]) -> bool:
    """Whether no cell is a number."""
    return not any(NUMBER.match(cell.strip()) for cell in record)


def is_units(rows: list[list[str]]) -> bool:
    """Whether the first row holds units: only such, at least one that is no dash, over columns of numbers."""
    cells = [cell.strip() for cell in rows[0]]
    given = [cell for cell in cells if cell]
    if (
        len(rows) < 3
        or not any(REAL_UNIT.search(cell) for cell in given)
        or not all(UNIT.match(cell) for cell in given)
    ):
        return False
    over_numbers = [
        i
        for i, cell in enumerate(cells)
        if REAL_UNIT.search(cell) and mostly_numbers([row[i] for row in rows[1:20] if len(row) > i])
    ]
    same = any(
        cell and any(len(row) > i and row[i].strip() == cell for row in rows[1:])
        for i, cell in enumerate(cells)
        if REAL_UNIT.search(cell)
    )
    return bool(over_numbers) and not same


def is_ruler(cells: list[str]) -> bool:
    """Whether a row is drawn, as Markdown and databases' consoles do."""
    drawn = [cell.strip() for cell in cells if cell.strip()]
    return bool(drawn) and all(RULER.fullmatch(cell) for cell in drawn)


def mostly_numbers(cells: list[str]) -> bool:
    """Whether more than four cells of five are numbers."""
    return sum(bool(NUMBER.match(cell.strip())) for cell in cells) > 0.8 * len(cells)
