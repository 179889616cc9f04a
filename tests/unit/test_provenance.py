"""What is stale follows from content: code without comments, tables without dates."""

import gzip
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
    provenance._closure.cache_clear()
    provenance._read.cache_clear()
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
    closure = {
        str(path.relative_to(provenance.PACKAGE))
        for path in provenance._closure(provenance.PACKAGE, "training.command", "training.steps.msn")
    }
    assert {"models/msn_loss.py", "images/views.py", "images/masks.py", "training/loop.py"} <= closure
    assert not {"models/dino.py", "models/mae.py", "models/supervised.py"} & closure  # another method's code
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


def test_of_a_huge_table_the_size_and_blocks_from_first_to_last_count(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "SAMPLED_ABOVE", 10_000)
    monkeypatch.setattr(provenance, "MIB", 100)
    path = tmp_path / "labevents.csv"
    content = bytearray(b"0123456789" * 5_000)

    def digest_with(place, value):
        path.write_bytes(content[:place] + value + content[place + 1 :])
        return content_digest([path])

    original = digest_with(0, b"0")
    assert digest_with(0, b"0") == original
    changed = {digest_with(place, b"x") for place in (0, 99, 49_900 * 31 // 63, 49_900, 49_999)}
    assert len(changed) == 5
    assert original not in changed
    assert digest_with(0, b"00") != original
    assert digest_with(500, b"x") == original  # between two blocks: the price of not reading gigabytes


def test_a_changed_gzip_file_ends_in_another_checksum(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "SAMPLED_ABOVE", 10_000)
    monkeypatch.setattr(provenance, "MIB", 100)
    path = tmp_path / "labevents.csv.gz"
    rows = [f"{number * 7919 % 100_003},{number}" for number in range(20_000)]
    digests = set()
    for row in (0, 5_000, 10_000, 19_999):
        path.write_bytes(gzip.compress("\n".join([*rows[:row], "9,9", *rows[row + 1 :]]).encode(), mtime=0))
        digests.add(content_digest([path]))
    assert len(digests) == 4


def test_a_template_counts_with_the_modules_that_name_it(package):
    """A page that looks otherwise is no reason to score again what its neighbour measures."""
    (package / "stage" / "templates").mkdir()
    page = package / "stage" / "templates" / "page.html.j2"
    page.write_text("one")
    before = _digest()
    page.write_text("two")
    assert _digest() == before
    (package / "stage" / "command.py").write_text("PAGE = 'page.html.j2'\n")
    before = _digest()
    page.write_text("three")
    assert _digest() != before


def test_every_template_and_table_is_named_by_a_module_beside_it():
    files = [path for ending in provenance.NAMED for path in provenance.PACKAGE.glob(f"**/{ending}")]
    assert len(files) >= 5
    for path in files:
        folder = path.parent.parent if path.parent.name == "templates" else path.parent
        assert any(path.name in module.read_text() for module in folder.glob("*.py")), path
