"""A small table in three forms: text as wide as the terminal, HTML and Markdown, in which nothing is cut."""

from __future__ import annotations

import dataclasses
import html
import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from kerata import errors

__all__ = ["FORMATS", "Named", "Row", "Table"]

FORMATS = ("text", "html", "markdown")


class Named(NamedTuple):
    """A cell with a name as somebody gave it, and a word of ours on it."""

    name: str
    note: str = ""


class Row(NamedTuple):
    """The cells of a row, and how deep it lies inside the rows above it."""

    cells: Sequence[str | Named]
    depth: int = 0


class HTML(str):
    """HTML that a notebook shows as such."""

    def _repr_html_(self) -> str:
        return str(self)


class Markdown(str):
    """Markdown that a notebook shows as such."""

    def _repr_markdown_(self) -> str:
        return str(self)


@dataclasses.dataclass
class Table:
    """A title, columns, rows, and lines below; the columns in `right` hold numbers."""

    what: str
    title: Named
    columns: list[str]
    rows: list[Row]
    lines: list[str] = dataclasses.field(default_factory=list)
    right: tuple[str, ...] = ()

    def print(self, line_length: int | None = None) -> None:
        """Print as text, by default as wide as the terminal."""
        self._print_to(_console(width=line_length))

    def text(self, line_length: int | None = None) -> str:
        """Return what `print` shows, without colours."""
        console = _console(width=line_length or 100, no_color=True, record=True, file=io.StringIO())
        self._print_to(console)
        return console.export_text()

    def _print_to(self, console: Any) -> None:
        from rich.table import Table as Rich
        from rich.text import Text

        shown = Rich(title=Text(f"{self.what}: {self.title.name!r}"), title_justify="left", title_style="bold")
        for name in self.columns:
            shown.add_column(name, justify="right" if name in self.right else "left", overflow="fold")
        for row in self.rows:
            shown.add_row(*(Text(cell) for cell in _indented([_plain(cell) for cell in row.cells], row.depth)))
        console.print(shown)
        for line in self.lines:
            console.print(line, highlight=False, markup=False)

    def html(self) -> HTML:
        """Return HTML that can stand in any page."""
        align = ["right" if name in self.right else "left" for name in self.columns]

        def row(tag: str, cells: Sequence[str]) -> str:
            inner = (f'<{tag} style="text-align: {a}">{cell}</{tag}>' for a, cell in zip(align, cells))
            return f"<tr>{''.join(inner)}</tr>"

        head = row("th", [html.escape(name) for name in self.columns])
        body = [row("td", _indented([_in_html(cell) for cell in r.cells], r.depth)) for r in self.rows]
        lines = "<br>".join(map(html.escape, self.lines))
        inside = "\n".join([f"<thead>{head}</thead>", "<tbody>", *body, "</tbody>"])
        return HTML(f"<p><b>{self.what}</b> {_in_html(self.title)}</p>\n<table>\n{inside}\n</table>\n<p>{lines}</p>\n")

    def markdown(self) -> Markdown:
        """Return a table of GitHub's Markdown."""
        rows = [self.columns, *(_indented([_in_markdown(cell) for cell in r.cells], r.depth) for r in self.rows)]
        widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(self.columns))]
        right = [name in self.right for name in self.columns]
        texts = [
            "| " + " | ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right)) + " |"
            for row in rows
        ]
        rule = "| " + " | ".join("-" * (w - 1) + ":" if r else "-" * w for w, r in zip(widths, right)) + " |"
        lines = [f"- {_escaped(line)}" for line in self.lines]
        title = f"**{self.what}** {_in_markdown(self.title)}"
        return Markdown("\n".join([title, "", texts[0], rule, *texts[1:], "", *lines, ""]))


def check_format(format: str, where: str) -> None:
    """Refuse what is no format."""
    if format not in FORMATS:
        raise errors.UnknownName("format", format, FORMATS, where=where)


def _console(**options: Any) -> Any:
    from rich.console import Console

    return Console(**options)


def _indented(cells: list[str], depth: int) -> list[str]:
    """Return the cells, the first moved to the right; spaces that do not break stay in HTML and Markdown too."""
    return ["\u00a0\u00a0" * (depth - 1) + "└ " + cells[0], *cells[1:]] if depth else cells


def _plain(cell: str | Named) -> str:
    if isinstance(cell, str):
        return cell
    return f"{cell.name} ({cell.note})" if cell.note else cell.name


def _in_html(cell: str | Named) -> str:
    if isinstance(cell, str):
        return html.escape(cell)
    name = f"<code>{html.escape(cell.name)}</code>"
    return f"{name} ({html.escape(cell.note)})" if cell.note else name


def _in_markdown(cell: str | Named) -> str:
    if isinstance(cell, str):
        return _escaped(cell)
    fence = "``" if "`" in cell.name else "`"
    name = fence + cell.name.replace("|", "\\|").replace("\n", " ") + fence
    return f"{name} ({_escaped(cell.note)})" if cell.note else name


def _escaped(text: str) -> str:
    """Return text in which Markdown sees no marks of its own; an underline inside a word is none."""
    return re.sub(r"[\\`*<>|\[\]]|(?<![a-zA-Z0-9])_|_(?![a-zA-Z0-9])", r"\\\g<0>", text.replace("\n", " "))
