"""What is stale follows from content: code without comments, tables without dates."""

import os

import pytest

from mmsn import provenance
from mmsn.provenance import code_digest, content_digest, sql_without_comments


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: `stage.command` uses `loss`, which talks through `console`."""
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "__init__.py").write_text("")
    (tmp_path / "stage" / "command.py").write_text("def run():\n    from mmsn.loss import f\n    return f\n")
    (tmp_path / "loss.py").write_text("from mmsn.console import say\n\ndef f(x):\n    return x + 1\n")
    (tmp_path / "console.py").write_text("def say(): ...\n")
    (tmp_path / "other.py").write_text("y = 1\n")
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    return tmp_path


def _digest():
    provenance._imports.cache_clear()
    provenance._file_digest.cache_clear()
    return code_digest("stage.command")


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        ("loss.py", "from mmsn.console import say\n\ndef f(x):\n    return x + 2\n", True),
        ("loss.py", '"""Doc."""\nfrom mmsn.console import say\n\n\ndef f(x):\n    # why\n    return (x + 1)\n', False),
        ("console.py", "def say(): print(1)\n", False),
        ("other.py", "y = 2\n", False),
        ("stage/query.sql", "SELECT 1", True),
    ],
    ids=["changed loss", "comment, docstring, layout", "plumbing", "unused module", "SQL beside the stage"],
)
def test_only_what_a_stage_computes_with_changes_its_digest(package, file, text, changes):
    before = _digest()
    (package / file).write_text(text)
    assert (_digest() != before) == changes


def test_a_touched_file_changes_nothing(package):
    before = _digest()
    os.utime(package / "loss.py", (1, 1))
    assert _digest() == before


def test_the_digest_of_pretraining_reaches_the_loss_the_views_and_the_masks():
    closure = {str(path.relative_to(provenance.PACKAGE)) for path in provenance._closure("training.command")}
    assert {"models/msn_loss.py", "images/views.py", "images/masks.py", "training/loop.py"} <= closure
    elsewhere = ("reporting", "statistics", "cohort", "ehr", "synthetic")
    assert not any(name.startswith(elsewhere) or name.endswith(".sql") for name in closure)


def test_a_remark_in_a_statement_is_no_change():
    assert sql_without_comments("-- why\nSELECT 1  -- here\n") == sql_without_comments("SELECT\n  1") == "SELECT 1"


def test_tables_count_by_content_and_order(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1")
    b.write_bytes(b"2")
    first = content_digest([a, b])
    os.utime(a, (1, 1))
    assert content_digest([a, b]) == first
    assert content_digest([b, a]) != first
