"""The command line: assembles the verbs of the stages, nothing else."""

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

# Before torch is loaded: threads that wait shall sleep, not spin. On cores shared with another program a spinning team
# slows a training step several times (measured: 10 s against 1.5 s on two busy cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer

_VERBS: Final = {
    "study": "study_command:app",
    "plan": "planning.command:plan",
    "status": "planning.command:status",
    "synth": "synthetic.command:synth",
    "cohort": "cohort.command:app",
    "external": "cohort.external.command:app",
    "ehr": "ehr.command:app",
    "images": "images.command:app",
    "pretrain": "training.command:pretrain",
    "evaluate": "evaluation.command:app",
    "represent": "representation.command:app",
    "report": "reporting.command:app",
    "paper": "paper.command:app",
    "figure-data": "figures.data_command:app",
    "figure": "figures.command:app",
}
_FURTHER: Final = {
    "evaluate": {
        "readings": "evaluation.readings_command:readings",
        "ehr-only": "evaluation.readings_command:ehr_only",
    },
    "report": {
        "imputation": "reporting.imputation_command:imputation",
        "low-data-statistics": "reporting.low_data_command:low_data_statistics",
        "low-data": "reporting.low_data_command:low_data",
        "variant-statistics": "reporting.variants_command:variant_statistics",
        "variants": "reporting.variants_command:variants",
    },
}
"""Verbs of a stage that lie in a file of their own."""


def assembled(names: Iterable[str]) -> typer.Typer:
    """The command line with these verbs only: a job imports its own stage, which saves each small job a second."""
    app = typer.Typer(
        help="EHR-guided self-supervised pretraining for chest X-rays. The workflow calls these verbs; so can you.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_nothing)  # so that one verb alone still has to be named
    for name in names:
        found = _imported(_VERBS[name])
        if isinstance(found, typer.Typer):
            known = {command.name for command in found.registered_commands}
            for verb, where in _FURTHER.get(name, {}).items():
                if verb not in known:  # an app in memory may have been assembled before
                    found.command(verb)(_imported(where))
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def main() -> None:
    """Entry point of `mmsn`."""
    asked = [name for name in sys.argv[1:2] if name in _VERBS]
    assembled(asked or _VERBS)()


def _nothing() -> None:
    """EHR-guided self-supervised pretraining for chest X-rays. The workflow calls these verbs; so can you."""


def _imported(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(f"mmsn.{module}"), name)


def __getattr__(name: str) -> typer.Typer:
    """`app`, the whole command line, is made when it is asked for."""
    if name == "app":
        return assembled(_VERBS)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
