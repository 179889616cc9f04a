"""A table as a reader sees it, and its HTML, Markdown and LaTeX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

_LATEX: Final = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "\N{ASTERISK OPERATOR}": r"$\ast$",
        "\N{DAGGER}": r"$\dagger$",
        "\N{DOUBLE DAGGER}": r"$\ddagger$",
        "\N{MINUS SIGN}": r"$-$",
        "\N{EN DASH}": "--",
        "\N{MULTIPLICATION SIGN}": r"$\times$",
        "\N{NO-BREAK SPACE}": "~",
    }
)
_MARKDOWN: Final = str.maketrans({character: f"\\{character}" for character in r"\`*_{}[]<>&#|~"})


@dataclass(frozen=True)
class Column:
    """One column. Neighbours with the same `group` stand under a common heading."""

    header: str
    group: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """One cell; a mark follows its text as a superscript."""

    text: str = ""
    mark: str = ""
    bold: bool = False
    muted: bool = False
    order: float | None = None
    """What a column is sorted by in HTML; the text where None."""
    hint: str = ""
    """Shown on hovering in HTML."""
    shade: float | None = None
    """-1 (blue) to 1 (orange) in HTML, None for no colour."""


@dataclass(frozen=True)
class Row:
    """One row; a rule separates rows of different groups."""

    cells: tuple[Cell, ...]
    group: str = ""


@dataclass(frozen=True)
class Group:
    """Columns under one heading: from `start` up to `stop`."""

    header: str
    start: int
    stop: int


@dataclass(frozen=True)
class Table:
    """A table with title and caption."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""
    """What a reader must know first, set off from the caption."""
    caption: tuple[str, ...] = ()
    """Sentences."""

    @property
    def groups(self) -> list[Group]:
        """Runs of neighbouring columns with the same heading."""
        numbered = groupby(enumerate(self.columns), key=lambda item: item[1].group)
        places = [(header, [place for place, _ in members]) for header, members in numbered]
        return [Group(header, own[0], own[-1] + 1) for header, own in places]

    @property
    def panels(self) -> list["Table"]:
        """The first column with each group of the others, for pages too narrow for all side by side."""
        return [self._panel(group) for group in self.groups if group.stop > 1]

    def has_marks(self, column: int) -> bool:
        """Whether any cell of a column has a mark, which then hangs beside the aligned numbers."""
        return any(row.cells[column].mark for row in self.rows)

    def _panel(self, group: Group) -> "Table":
        kept = [0, *range(max(group.start, 1), group.stop)]
        rows = [replace(row, cells=tuple(row.cells[place] for place in kept)) for row in self.rows]
        return replace(self, columns=tuple(self.columns[place] for place in kept), rows=tuple(rows))

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row.cells) != len(self.columns)]
        if wrong:
            raise ValueError(f"{len(wrong[0].cells)} cells in a row of {len(self.columns)} columns")


def with_highest_bold(cells: Sequence[Cell]) -> list[Cell]:
    """The cells, the highest in bold; also several where what is shown is the same."""
    known = [cell for cell in cells if cell.order is not None]
    if not known:
        return list(cells)
    best = max(known, key=lambda cell: cell.order or 0.0).text.split(" ")[0]
    return [replace(cell, bold=cell.order is not None and cell.text.split(" ")[0] == best) for cell in cells]


def to_html(tables: Sequence[Table]) -> str:
    """A page that needs nothing but itself, its tables sortable by a click on a heading."""
    return _html().get_template("tables.html.j2").render(tables=tables)


def to_markdown(tables: Sequence[Table]) -> str:
    """Pipe tables, each with its title above and its caption below."""
    return _environment(_escape_markdown).get_template("tables.md.j2").render(tables=tables)


def to_latex(table: Table) -> str:
    r"""A `table` float to `\input` where `booktabs` is loaded; groups of columns become panels."""
    return _environment(_escape_latex).get_template("table.tex.j2").render(table=table)


def _escape_latex(value: object) -> str:
    return str(value).translate(_LATEX)


def _escape_markdown(value: object) -> str:
    return str(value).translate(_MARKDOWN)


@cache
def _html() -> Environment:
    return Environment(
        loader=PackageLoader("mmsn.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _environment(escape: Callable[[object], str]) -> Environment:
    """An environment whose every `<< value >>` is escaped; braces and percent signs stay the format's own."""
    return Environment(
        loader=PackageLoader("mmsn.reporting"),
        finalize=escape,
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
