"""Snakemake as it is, but for how often it asks Slurm what became of its jobs.

The executor waits ten seconds longer each time that nothing has ended, which is kind to a cluster and idle time here.
"""

import asyncio
import sys

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

SECONDS = 2
"""Between two questions: what the tests wait for at most before Snakemake sees what is there to be seen."""


async def _sleep(executor: Executor) -> None:
    await asyncio.sleep(SECONDS)


if __name__ == "__main__":
    Executor.sleep = _sleep
    sys.exit(main())
