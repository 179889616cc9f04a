"""What a rule's shell command may not leave to chance."""

import re
from pathlib import Path

RULES = sorted((Path(__file__).parents[2] / "rules").glob("*.smk"))


def test_an_empty_note_stays_an_option_of_its_own():
    """Snakemake quotes an empty text as nothing: `--data-note --log x` would take `--log` for the note."""
    uses = [line for path in RULES for line in re.findall(r".*--data-note.*", path.read_text())]
    assert len(uses) > 10
    assert all(re.search(r"--data-note=\{+params\.note:q\}+", line) for line in uses), uses
