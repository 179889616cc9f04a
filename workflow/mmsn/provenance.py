"""Digests that decide what is stale: of the code behind a stage and of the files it reads.

Snakemake compares rule parameters, not imported modules and not only dates. So a rule carries the digest of the modules
its verb uses: a changed loss re-runs it, a touched file, a comment or a pulled branch does not.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent
STATEMENTS: Final = "*.sql"  # beside the modules that put their names together
NAMED: Final = ("*.csv", "templates/*.j2")  # beside modules, of which those read them that name them
# Modules through which nothing scientific passes: their values arrive as tracked parameters, or they only talk.
PLUMBING: Final = frozenset(
    {
        *(
            "card",
            "cli",
            "console",
            "errors",
            "files",
            "health",
            "journal",
            "lineage",
            "provenance",
            "settings",
            "signals",
        ),
        *("study", "titles"),
    }
)


MIB: Final = 1 << 20
SAMPLED_ABOVE: Final = 512 * MIB
BLOCKS: Final = 64
_HOLD_STATEMENTS: Final = (ast.stmt, ast.excepthandler, ast.match_case)


def code_digest(*modules: str, without: Iterable[str] = ()) -> str:
    """Digest of modules of ours (`training.command`) and of every module of ours they import, however deep.

    Comments, docstrings and layout do not count. SQL files (without comments) count with the modules beside which they
    lie, templates and tables with those among them that name the file.

    Args:
        modules: where to start.
        without: files of the package (`cohort/flow.py`) that do not touch what the rule makes.
    """
    total = hashlib.sha256()
    for path in sorted(_closure(PACKAGE, *modules) - {PACKAGE / name for name in without}):
        total.update(f"{path.relative_to(PACKAGE)}:{_read(path)[1]}\n".encode())
    return total.hexdigest()[:16]


def sql_without_comments(text: str) -> str:
    """A statement without `--` comments and with single spaces: what the database reads."""
    return " ".join(re.sub(r"--[^\n]*", " ", text).split())


def content_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the bytes of several files, in the order given.

    It is taken whenever the workflow starts, in every job too, so of a file above `SAMPLED_ABOVE` (MIMIC-IV's labevents
    has 2.5 GB) only the size and `BLOCKS` blocks of a MiB count, spread evenly from the first to the last. That sees
    another version of the table, and any change of a gzipped file, which ends in a checksum of its content; in plain
    CSV or Parquet it can miss a cell that was overwritten by one of the same length.
    """
    total = hashlib.sha256()
    for path in paths:
        total.update(_sampled_digest(path) if path.stat().st_size > SAMPLED_ABOVE else _whole_digest(path))
    return total.hexdigest()[:16]


def _whole_digest(path: Path) -> bytes:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _sampled_digest(path: Path) -> bytes:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as opened:
        for block in range(BLOCKS):
            opened.seek((size - MIB) * block // (BLOCKS - 1))
            digest.update(opened.read(MIB))
    return digest.digest()


@cache
def _closure(package: Path, *modules: str) -> frozenset[Path]:
    """Files behind modules of a package; once a process, as hundreds of jobs of one rule ask for the same."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = _module_path(waiting.pop())
        if path is None or path in found:
            continue
        found.add(path)
        found.update(_data_beside(package, path))
        waiting.extend(_read(path)[0])
    return frozenset(found)


def _data_beside(package: Path, module: Path) -> set[Path]:
    """Data files of a module's own folder that it may read; none for modules at the top."""
    if module.parent == package:
        return set()
    named = {path for ending in NAMED for path in module.parent.glob(ending)}
    text = module.read_text(encoding="utf-8") if named and module.suffix == ".py" else ""
    return {*module.parent.glob(STATEMENTS), *(path for path in named if path.name in text)}


def _module_path(module: str) -> Path | None:
    """File of a module of ours, None for plumbing, settings modules and names that are not modules."""
    name = module.split(".")
    if name[-1] in PLUMBING:
        return None
    base = PACKAGE.joinpath(*name)
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


@cache
def _read(path: Path) -> tuple[tuple[str, ...], str]:
    """Modules of ours that a file imports, and its digest: from one reading, as every job's start reads them all."""
    text = path.read_text(encoding="utf-8")
    imported: tuple[str, ...] = ()
    if path.suffix == ".py":
        tree = ast.parse(text)
        imported = tuple(_imports(tree))
        text = ast.dump(_without_docstrings(tree))
    elif path.suffix == ".sql":
        text = sql_without_comments(text)
    return imported, hashlib.sha256(text.encode()).hexdigest()


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in _statements(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mmsn":
            base = (node.module or "").removeprefix("mmsn").lstrip(".")
            yield from [base] if base else []
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("mmsn.") for a in node.names if a.name.startswith("mmsn."))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ]
    return tree


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """A module and the statements in it, not their expressions: most of a tree, and no import or docstring in them."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, _HOLD_STATEMENTS)]
