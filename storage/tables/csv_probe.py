"""Whether a block of CSV lines may hold a repeated header or totals, at nearly the speed of scanning it.

A line is looked at closely when it begins unlike the rows before it, or holds the header's longest name or a label's.
A beginning that proves to be a row's is not looked at again, so that this costs next to nothing in any file."""

import csv
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from storage.tables.csv_repeats import Around, OtherOrder, tidy

OTHERS = np.array([code for code in range(256) if code not in b"0123456789-+."])
"""With these no number begins."""
MOST_OF_A_WORD = 2_000
"""Rows that hold a header's name and are no header: the name is a word of the values."""


class Probe:
    """Looks for lines that are no rows; `totals` are the numbers of the rows with totals."""

    def __init__(self, around: Around, separator: str) -> None:
        self.totals: list[int] = []
        self._around, self._separator = around, separator
        self._usual = np.zeros(256, np.bool_)
        self._usual[list(around.first_bytes)] = True
        self._words, self._pairs = dict.fromkeys(_names(around), 0), _pairs(around, separator)

    def finds(self, block: bytes, starts: npt.NDArray[np.int64], before: int) -> bool:
        """Whether whole records, of which `before` came earlier, hold a repeated header for certain."""
        ends = np.append(starts[1:], len(block))
        for i in self._candidates(block, starts):
            record = self._record(block[starts[i] : ends[i]])
            if not record:
                continue
            try:
                if self._around.is_header(record):
                    return True
            except OtherOrder:
                return True
            if self._around.is_total(record) or self._around.is_units(record):
                self.totals.append(before + int(i))
            elif len(record) == len(self._around.names):
                self._usual[self._first(block, starts[i : i + 1])] = True
        return False

    def _candidates(self, block: bytes, starts: npt.NDArray[np.int64]) -> list[int]:
        first = self._first(block, starts)
        found = set[int]()
        for byte in np.unique(first[~self._usual[first]]):
            found.update(np.flatnonzero(first == byte).tolist())
        if not self._usual[OTHERS].any():  # a header would begin unlike any row
            return sorted(found)
        lowered = block.lower()
        for word, seen in list(self._words.items()):
            position = lowered.find(word)
            while position >= 0 and seen < MOST_OF_A_WORD:
                i = int(np.searchsorted(starts, position, "right")) - 1
                found.add(i)
                seen += 1
                position = lowered.find(word, int(starts[i + 1]) if i + 1 < len(starts) else len(block))
            self._words[word] = seen
        if self._pairs and max(self._words.values(), default=0) >= MOST_OF_A_WORD:
            self._words |= dict.fromkeys(self._pairs, 0)
            self._pairs = []
            return self._candidates(block, starts)
        return sorted(found)

    @staticmethod
    def _first(block: bytes, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """The first byte of each record, or the one after its opening quote."""
        codes = np.frombuffer(block, np.uint8)
        first = codes[starts]
        return np.where(first == ord('"'), codes[np.minimum(starts + 1, len(codes) - 1)], first)

    def _record(self, raw: bytes) -> list[str]:
        lines = raw.decode("utf-8", "replace").splitlines(keepends=True)
        return next(csv.reader(lines, delimiter=self._separator), [])


def _header(around: Around) -> list[str]:
    return [name for name in around.names if name and tidy(name) in around.header]


def _names(around: Around) -> list[bytes]:
    """What a header's line holds and others seldom do: its longest name, and those of labels."""
    texts = [max(_header(around), key=len, default=""), *(around.names[place] for place in around.label)]
    return [text.encode().lower() for text in texts if text]


def _pairs(around: Around, separator: str) -> list[bytes]:
    """Two names in a row, as a header may have them: for a file in which the names are words of the values too."""
    pair = max(pairwise(_header(around)), key=lambda two: len("".join(two)), default=())
    texts = [between.join(pair) for between in (separator, f"{separator} ", f'"{separator}"') if pair]
    return [text.encode().lower() for text in texts]
