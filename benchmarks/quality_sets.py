"""Sets for `benchmarks.quality`, made like those of the public that people try first: the same set, seed and size give
the same rows.

A set is a table in time order with the label column `Result` (PASS or FAIL), numbers, texts and gaps as a CSV would
have them. The shapes: AI4I 2020 by its published rules (Matzka 2020), SCADA attacks that come late, credit and census
data whose texts decide, SECOM's width and noise, and the hard cases one by one: few failures, gaps that say something,
drift, many suppliers, few rows."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

LABEL = "Result"
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]
Random = np.random.Generator


def ai4i(random: Random) -> pl.DataFrame:
    """Five numbers and a type; failures by tool wear, heat, power and overstrain."""
    rows = 10_000
    kind = random.choice(["L", "M", "H"], rows, p=[0.5, 0.3, 0.2])
    air = 300 + _walk(random, rows, 2.0)
    process = air + 10 + _walk(random, rows, 1.0)
    torque = np.abs(random.normal(40, 10, rows))
    speed = 2860 * 60 / (2 * np.pi) / np.maximum(torque, 8) * 2.35 + random.normal(0, 60, rows)
    step = np.select([kind == "H", kind == "M"], [5, 3], 2)
    wear, worn, at, limit = np.zeros(rows), np.zeros(rows, bool), 0, random.integers(200, 241)
    for row in range(rows):
        at += step[row]
        wear[row], worn[row] = at, at >= limit and random.random() < 0.4
        if at >= limit:
            at, limit = 0, random.integers(200, 241)
    power = torque * speed * 2 * np.pi / 60
    heat = (process - air < 8.6) & (speed < 1380)
    strain = wear * torque > np.select([kind == "H", kind == "M"], [13_000, 12_000], 11_000)
    failed = worn | heat | (power < 3500) | (power > 9000) | strain | (random.random(rows) < 0.001)
    numbers = {
        "Air temperature": air,
        "Process temperature": process,
        "Rotational speed": speed,
        "Torque": torque,
        "Tool wear": wear,
    }
    return _table({"Type": kind, **{name: np.round(values, 1) for name, values in numbers.items()}}, failed)


def scada(random: Random) -> pl.DataFrame:
    """Levels, flows and pumps by the hour; attacks in episodes, most of them late."""
    rows, tanks = 4_000, 12
    hour = np.arange(rows)
    demand = 1 + 0.4 * np.sin(2 * np.pi * hour / 24) + 0.1 * _walk(random, rows, 1.0)
    levels = {f"L_T{i}": 3 + demand * random.uniform(0.3, 1) + _walk(random, rows, 0.5) for i in range(tanks)}
    flows = {
        f"F_PU{i}": np.maximum(0, 50 * demand * random.uniform(0.5, 1) + random.normal(0, 4, rows))
        for i in range(tanks)
    }
    pressures = {f"P_J{i}": 60 - 10 * demand + random.normal(0, 2, rows) for i in range(tanks)}
    columns = {**levels, **flows, **pressures}
    failed, names = np.zeros(rows, bool), list(columns)
    targets = [random.choice(names, 3, replace=False) for _ in range(4)]
    begins = [0.30, 0.42, 0.50, 0.53, 0.56, 0.58, 0.62, 0.66, 0.71, 0.76, 0.82, 0.87, 0.92, 0.96]
    for number, begin in enumerate(begins):
        span = slice(at := int(begin * rows) + int(random.integers(0, 20)), at + int(random.integers(8, 30)))
        failed[span] = True
        for name in targets[number % len(targets)]:
            columns[name][span] += np.std(columns[name]) * random.uniform(1.2, 2.5) * (1 if number % 2 else -1)
    pumps = {f"S_PU{i}": np.where(columns[f"F_PU{i}"] > 20, "on", "off") for i in range(4)}
    return _table({**{name: np.round(values, 2) for name, values in columns.items()}, **pumps}, failed)


def credit(random: Random) -> pl.DataFrame:
    """1,000 rows, 13 of 20 columns texts that decide."""
    rows = 1_000
    texts = {f"text_{i}": _words(random, rows, int(random.integers(2, 11)), f"A{i}") for i in range(13)}
    score = sum(
        (_effects(random, values, 0.75 / (1 + i / 3)) for i, values in enumerate(texts.values())), np.zeros(rows)
    )
    months, amount, age = (
        random.integers(4, 72, rows),
        np.round(random.lognormal(7.8, 0.8, rows)),
        random.integers(19, 75, rows),
    )
    others = {f"number_{i}": random.integers(1, 5, rows) for i in range(4)}
    score = score + 0.03 * (months - 20) + 0.4 * np.log(amount / 2500) - 0.015 * (age - 35)
    return _table({**texts, "months": months, "amount": amount, "age": age, **others}, _drawn(random, score, 0.3))


def adult(random: Random) -> pl.DataFrame:
    """Census-like: eight texts, some with gaps, six numbers, a quarter of the rows positive."""
    rows = 8_000
    sizes = {
        "workclass": 8,
        "education": 16,
        "marital": 7,
        "occupation": 14,
        "relationship": 6,
        "race": 5,
        "sex": 2,
        "country": 40,
    }
    texts = {name: _words(random, rows, size, name) for name, size in sizes.items()}
    weights = {
        "workclass": 0.4,
        "education": 1.0,
        "marital": 1.4,
        "occupation": 0.9,
        "relationship": 0.8,
        "sex": 0.4,
        "country": 0.3,
    }
    score = sum((_effects(random, texts[name], weight) for name, weight in weights.items()), np.zeros(rows))
    age, hours, years = (
        random.integers(17, 80, rows),
        np.clip(random.normal(40, 12, rows).round(), 1, 99),
        random.integers(1, 17, rows),
    )
    gain = np.where(random.random(rows) < 0.08, random.lognormal(8, 1, rows).round(), 0)
    score = score - 0.002 * (age - 48) ** 2 + 0.04 * (hours - 40) + 0.15 * (years - 10) + 2 * (gain > 6000)
    for name in ("workclass", "occupation", "country"):
        texts[name][random.random(rows) < 0.05] = None
    numbers = {
        "age": age,
        "hours": hours,
        "years": years,
        "gain": gain,
        "weight": random.lognormal(12, 0.5, rows).round(),
    }
    return _table({**numbers, **texts}, _drawn(random, score, 0.24))


def secom(random: Random) -> pl.DataFrame:
    """1,500 rows of 300 noisy sensors, gaps and constants; seven in a hundred fail, for reasons hardly seen."""
    rows, width = 1_500, 300
    values = random.normal(size=(rows, width)) @ np.diag(random.lognormal(0, 1, width))
    values += random.normal(size=(rows, 8)) @ random.normal(size=(8, width))
    standard = (values - values.mean(0)) / values.std(0)
    score = standard[:, :6] @ random.uniform(0.25, 0.55, 6)
    values[:, 280:] = 1.0
    values[random.random(values.shape) < np.where(random.random(width) < 0.1, 0.5, 0.02)] = np.nan
    return _table(_numbered(values), _drawn(random, score, 0.07))


def few(random: Random) -> pl.DataFrame:
    """One failure in a hundred rows, by rules that trees can learn."""
    values = random.normal(size=(5_000, 20))
    score = 3.2 * (values[:, 0] > 1) * (values[:, 1] > 0.5) + 2.5 * (values[:, 2] < -1.6) + 0.5 * values[:, 3]
    return _table(_numbered(values), _drawn(random, 1.4 * score, 0.012))


def gaps(random: Random) -> pl.DataFrame:
    """A third of the cells is missing, and what is missing says something."""
    rows, width = 3_000, 30
    values = random.normal(size=(rows, width))
    left_out = random.random((rows, width // 5)) < 0.33
    score = 1.5 * left_out[:, 0] - 1.2 * left_out[:, 1] + 1.2 * values[:, 10] + np.where(values[:, 15] > 1, 1.5, 0)
    values[np.repeat(left_out, 5, axis=1)] = np.nan
    return _table(_numbered(values), _drawn(random, score, 0.1))


def drift(random: Random) -> pl.DataFrame:
    """Sensors wander and failures become more frequent."""
    rows, width = 6_000, 20
    late = np.linspace(0, 1, rows)
    values = random.normal(size=(rows, width))
    score = 1.2 * values[:, 0] + 1.5 * (values[:, 1] > 1) + values[:, 2] * values[:, 3] + 1.2 * late
    values[:, :6] += late[:, None] * random.uniform(-1, 1, 6)
    return _table(_numbered(values), _drawn(random, score, 0.06))


def wide(random: Random) -> pl.DataFrame:
    """2,000 rows, 400 columns, ten of which matter."""
    values = random.normal(size=(2_000, 400))
    score = values[:, :10] @ random.choice([-1, 1], 10) * 0.7 + 1.5 * (values[:, 20] > 1)
    return _table(_numbered(values), _drawn(random, score, 0.15))


def suppliers(random: Random) -> pl.DataFrame:
    """Texts of many values (suppliers, operators, batches), a yes/no, and a few numbers."""
    rows = 4_000
    supplier, operator = _words(random, rows, 150, "supplier"), _words(random, rows, 25, "op")
    batch = np.array([f"batch-{row // 9}" for row in range(rows)])
    rework = random.choice(["true", "false"], rows, p=[0.1, 0.9])
    values = random.normal(size=(rows, 5))
    score = (
        _effects(random, supplier, 1.1)
        + _effects(random, operator, 0.8)
        + 1.2 * (rework == "true")
        + 0.9 * values[:, 0]
    )
    columns = {"supplier": supplier, "operator": operator, "batch": batch, "rework": rework}
    return _table({**columns, **_numbered(values)}, _drawn(random, score, 0.12))


def small(random: Random) -> pl.DataFrame:
    """600 rows of eight columns."""
    rows = 600
    values, line = random.normal(size=(rows, 7)), _words(random, rows, 4, "line")
    score = 1.3 * values[:, 0] - values[:, 1] + _effects(random, line, 0.8)
    return _table({"line": line, **_numbered(values)}, _drawn(random, score, 0.15))


SETS: dict[str, Callable[[Random], pl.DataFrame]] = {
    "AI4I-like": ai4i,
    "SCADA-like, late failures": scada,
    "credit-like": credit,
    "adult-like": adult,
    "SECOM-like": secom,
    "few failures": few,
    "gaps": gaps,
    "drift": drift,
    "wide": wide,
    "suppliers": suppliers,
    "small": small,
}


def made(name: str, seed: int) -> pl.DataFrame:
    """The set of this name."""
    return SETS[name](np.random.default_rng([seed, list(SETS).index(name)]))


def _table(columns: dict[str, npt.NDArray[np.generic]], failed: Flags) -> pl.DataFrame:
    series = [pl.Series(name, values.tolist(), nan_to_null=True) for name, values in columns.items()]
    return pl.DataFrame([*series, pl.Series(LABEL, np.where(failed, "FAIL", "PASS"))])


def _numbered(values: Floats) -> dict[str, npt.NDArray[np.generic]]:
    return {f"x{column}": np.round(values[:, column], 4) for column in range(values.shape[1])}


def _walk(random: Random, rows: int, deviation: float) -> Floats:
    """A random walk that comes back, of this standard deviation."""
    values, back = np.zeros(rows), 0.98
    steps = random.normal(0, 1, rows)
    for before, row in pairwise(range(rows)):
        values[row] = back * values[before] + steps[row]
    return values / float(values.std()) * deviation


def _words(random: Random, rows: int, size: int, name: str) -> Texts:
    """Texts of so many different values, some much more frequent than others."""
    shares = random.dirichlet(np.full(size, 1.5))
    return np.array([f"{name}-{value}" for value in random.choice(size, rows, p=shares)], dtype=object)


def _effects(random: Random, values: npt.NDArray[np.generic], deviation: float) -> Floats:
    """A number for each text, drawn once for each different one."""
    words, codes = np.unique(values.astype(str), return_inverse=True)
    return random.normal(0, deviation, len(words))[codes]


def _drawn(random: Random, score: Floats, share: float) -> Flags:
    """Failures drawn with the odds exp(score), so many of all rows."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-score - middle))).mean() < share else (low, middle)
    return random.random(len(score)) < 1 / (1 + np.exp(-score - low))
