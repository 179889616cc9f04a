"""Shared by all tests: where the open data lie, and saying loudly when they do not."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as mmsn.cli does, before torch is loaded

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The open data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("SKIPPED: ../shared/data is not there: nothing was checked on real open data")
    return SHARED
