"""The command line knows every verb, and a job imports its own stage alone."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mmsn import cli
from mmsn.cli import _FURTHER, _VERBS, app, assembled


def imported_by(verb: str) -> set[str]:
    """Modules that a process has loaded which was started for one verb."""
    code = f"import sys; from mmsn.cli import assembled; assembled([{verb!r}]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_job_of_the_report_loads_neither_torch_nor_another_stage():
    loaded = imported_by("report")
    assert "mmsn.reporting.command" in loaded
    assert not {"torch", "numba", "mmsn.training.command", "mmsn.cohort.command", "mmsn.figures.command"} & loaded


@pytest.mark.parametrize("verb", list(_VERBS))
def test_every_verb_is_there_alone_and_among_all(verb):
    for command_line in (app, assembled([verb])):
        helped = CliRunner().invoke(command_line, [verb, "--help"])
        assert helped.exit_code == 0, helped.output
        for further in _FURTHER.get(verb, {}):
            assert further in helped.output


def test_the_verbs_of_other_files_stay_single_however_often_a_command_line_is_made():
    command_lines = [assembled(["report"]) for _ in range(3)]
    names = [command.name for command in command_lines[-1].registered_groups[0].typer_instance.registered_commands]
    assert names.count("low-data") == names.count("variants") == 1


def test_an_unknown_verb_is_refused_and_names_what_there_is():
    refused = CliRunner().invoke(app, ["reprot"])
    assert refused.exit_code == 2
    assert not hasattr(cli, "reprot")
