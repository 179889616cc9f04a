"""Run in a process of its own: one dry run of Snakemake that writes the jobs it would run as JSON lines.

`python -m mmsn.planning.dry_run FILE ARGUMENTS...` starts Snakemake's own command line with a logger plugin of ours, so
profiles, overlays and the rules' own checks are those of a real run, and nothing is derived a second time here.
"""

import json
import logging
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

_PLUGIN = "mmsn-jobs"


class JobsToFile(LogHandlerBase):
    """Writes one JSON line for each job that Snakemake announces."""

    output: ClassVar[Path]
    """The file; Snakemake makes the handler, so it cannot be told by an argument."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep announcements of jobs, pass over everything else."""
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            with self.output.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(job_line(vars(record))) + "\n")

    @property
    def writes_to_stream(self) -> bool:
        """Snakemake's own messages stay on the terminal."""
        return False

    @property
    def writes_to_file(self) -> bool:
        """Not a log file that Snakemake should name at the end."""
        return False

    @property
    def has_filter(self) -> bool:
        """True: `--quiet` must not hide a job from us."""
        return True

    @property
    def has_formatter(self) -> bool:
        """True: nothing is formatted."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """No graph is asked for."""
        return False


def job_line(announced: dict[str, Any]) -> dict[str, Any]:
    """One announced job as `jobs.Job` reads it."""
    resources = announced["resources"]
    named = {name: resources.get(name) for name in ("gpu", "mem_mb", "runtime")}
    return {
        "rule": announced["rule_name"],
        "message": announced["rule_msg"] or "",
        "wildcards": dict(announced["wildcards"] or {}),
        "inputs": [str(path) for path in announced["input"]],
        "outputs": [str(path) for path in announced["output"]],
        "log": next((str(path) for path in announced["log"]), None),
        "benchmark": str(announced["benchmark"]) if announced["benchmark"] else None,
        "threads": int(announced["threads"]),
        "resources": {name: value for name, value in named.items() if isinstance(value, int | float)},
        "command": announced["shellcmd"] or "",
        "reason": announced["reason"],
    }


def main() -> None:
    """Hand everything after the output file to Snakemake."""
    JobsToFile.output = Path(sys.argv[1])
    JobsToFile.output.touch()
    plugin = ModuleType("snakemake_logger_plugin_mmsn_jobs")
    vars(plugin)["LogHandler"] = JobsToFile
    LoggerPluginRegistry().register_plugin(plugin.__name__, plugin)
    # by name: it has no types
    import_module("snakemake.cli").main([*sys.argv[2:], "--logger", _PLUGIN])


if __name__ == "__main__":
    main()
