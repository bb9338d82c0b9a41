"""A large json object read in windows, so that millions of annotations never are Python objects at the same time."""
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

_WINDOW = 1 << 22  # characters
_SPACE = re.compile(r'[ \t\n\r]*')
_DECODER = json.JSONDecoder()

Reader = Callable[[Iterator[Any]], Any]


def read_members(path: str | Path, readers: dict[str, Reader] | None = None) -> dict[str, Any]:
    """The members of the object that a json file holds; lists that have a reader pass through it entry by entry.

    Python's own decoder reads one entry at a time from a window of the file: as fast as a streaming library, in one
    pass for all lists, and with the numbers, the NaN and the error positions of ``json.loads``. A file that takes more
    than 5 seconds shows a progress bar on a terminal.

    Args:
        path: json file.
        readers: for a key the function that takes the iterator over its list; what it returns stands for the list.
            It must exhaust the iterator. A list without a reader is read over and stands as None; a value that is no
            list is returned as it is. Without ``readers`` every list is returned.

    Returns:
        The members by key.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no json, or its top level is no object.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: found no such file, expected a COCO-style json; check ann_file and data_root')
    size = Path(path).stat().st_size  # bytes; read are characters, which annotation files have nearly as many of
    with open(path, encoding='utf-8') as file, tqdm.wrapattr(file, 'read', total=size, desc=Path(path).name, delay=5,
                                                             leave=False, disable=None) as shown:
        return _Stream(shown, path).members(readers)


def _read_over(entries: Iterator[Any]) -> None:
    for _ in entries:
        pass


class _Stream:
    """A cursor over the text of a file, of which one window is in memory."""

    def __init__(self, file: Any, path: str | Path) -> None:
        self.file, self.path = file, path
        self.text, self.at, self.ended = '', 0, False
        self.lines, self.column, self.chars = 0, 0, 0  # what lies before the window

    def members(self, readers: dict[str, Reader] | None) -> dict[str, Any]:
        """The top-level object; see `read_members`."""
        if self.peek() != '{':
            found = type(self.value()).__name__
            raise ValueError(f"{self.path}: found a {found} at the top level, expected an object with 'images'")
        content = {key: self.member(list if readers is None else readers.get(key)) for key in self.keys()}
        if self.peek():
            raise self.error('Extra data')
        return content

    def keys(self) -> Iterator[str]:
        """The object's keys; the caller reads the value after each."""
        for _ in self.entries('{', '}'):
            if self.peek() != '"':
                raise self.error('Expecting property name enclosed in double quotes')
            key = self.value()
            self.expect(':')
            yield key

    def member(self, reader: Reader | None) -> Any:
        """One value, through its reader if it is a list."""
        if self.peek() != '[':
            return self.value()
        entries = (self.value() for _ in self.entries('[', ']'))
        return (reader or _read_over)(entries)

    def entries(self, first: str, last: str) -> Iterator[None]:
        """Stops before every entry of a list or object, and after its end."""
        self.expect(first)
        if self.peek() != last:
            yield
            while self.peek() == ',':
                self.at += 1
                yield
        self.expect(last)

    def value(self) -> Any:
        """The next value as a whole; a window that cuts it grows."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
                # A number that the window cuts may read as a shorter one.
                if self.text[end:end + 1] not in '.eE' or not self.more():
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                if not self.more():
                    raise self.error(error.msg, error.pos) from None

    def expect(self, character: str) -> None:
        """Passes over one character."""
        if self.peek() != character:
            raise self.error(f"Expecting '{character}' delimiter")
        self.at += 1

    def peek(self) -> str:
        """The next character that is no space, or '' at the end; the cursor stands on it."""
        self.at = _SPACE.match(self.text, self.at).end()
        while self.at == len(self.text) and self.more():
            self.at = _SPACE.match(self.text, self.at).end()
        return self.text[self.at:self.at + 1]

    def more(self) -> bool:
        """Moves the window on to the cursor and lengthens it; False at the end of the file."""
        try:  # a value longer than the window doubles it, so that no value is decoded often
            text = self.file.read(max(_WINDOW, len(self.text) - self.at)) if not self.ended else ''
        except UnicodeDecodeError as error:
            raise self.error(str(error)) from None
        self.ended = not text
        if self.ended:
            return False
        self.lines, self.column, self.chars = self.position(self.at)
        self.text, self.at = self.text[self.at:] + text, 0
        return True

    def position(self, at: int) -> tuple[int, int, int]:
        """Lines before, characters before in the line, and characters before in the file, of a place in the window."""
        newlines = self.text.count('\n', 0, at)
        column = at - self.text.rindex('\n', 0, at) - 1 if newlines else self.column + at
        return self.lines + newlines, column, self.chars + at

    def error(self, message: str, at: int | None = None) -> ValueError:
        """The error that names the file and the place in it."""
        lines, column, chars = self.position(self.at if at is None else at)
        return ValueError(f'{self.path}: found no valid json ({message}: line {lines + 1} column {column + 1} (char '
                          f'{chars})), expected COCO-style json; is it complete?')
