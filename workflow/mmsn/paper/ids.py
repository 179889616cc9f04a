"""The ids of the paper's tables, for the workflow: nothing heavy is imported here."""

from typing import Final

TABLE_IDS: Final = ("1", "2", "3", "4", "C1", "C2", "C3", "C4", "C5", "C6", "C7")
"""As the preprint numbers them; 1 and 2 are counts, the others results."""
