"""Shared by all tests: where the open data lie, and saying loudly when they do not; who runs what side by side."""

import os
from pathlib import Path

import pytest

# Before torch is loaded. Two test processes share two cores: one thread each, and none that spins while it waits.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The open data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("SKIPPED: ../shared/data is not there: nothing was checked on real open data")
    return SHARED


@pytest.hookimpl(tryfirst=True)  # before xdist's own, which reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under `-n`, a file's tests stay together; all that look at the one finished study do so in one process."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "fresh" not in names:
            group = "finished" if "finished" in names else item.path.stem
            item.add_marker(pytest.mark.xdist_group(group))
