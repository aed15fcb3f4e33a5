"""A column by its name, as it is written: to Polars `^x.*$` and `*` are patterns, to us they are names like any
other."""

import polars as pl
from polars import selectors


def column(name: str) -> pl.Expr:
    """The column that is called exactly so. A selector is slow where there are thousands of columns: for the names that
    need one."""
    if name == "*" or (name.startswith("^") and name.endswith("$")):
        return selectors.by_name(name).as_expr()
    return pl.col(name)
