"""The command line: assembles the verbs of the stages, nothing else."""

import os

# Before torch is loaded: threads that wait shall sleep, not spin. On cores shared with another program a spinning team
# slows a training step several times (measured: 10 s against 1.5 s on two busy cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer

from mmsn.cohort.command import app as cohort
from mmsn.cohort.external.command import app as external
from mmsn.ehr.command import app as ehr
from mmsn.evaluation.command import app as evaluate
from mmsn.evaluation.readings_command import ehr_only, readings
from mmsn.figures.command import app as figure
from mmsn.figures.data_command import app as figure_data
from mmsn.images.command import app as images
from mmsn.paper.command import app as paper
from mmsn.planning.command import plan, status
from mmsn.reporting.command import app as report
from mmsn.reporting.low_data_command import low_data
from mmsn.reporting.variants_command import variants
from mmsn.representation.command import app as represent
from mmsn.study_command import app as study
from mmsn.synthetic.command import synth
from mmsn.training.command import pretrain

app = typer.Typer(
    help="EHR-guided self-supervised pretraining for chest X-rays. The workflow calls these verbs; so can you.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(study, name="study")
app.command("plan")(plan)
app.command("status")(status)
app.command("synth")(synth)
app.add_typer(cohort, name="cohort")
app.add_typer(external, name="external")
app.add_typer(ehr, name="ehr")
app.add_typer(images, name="images")
app.command("pretrain")(pretrain)
evaluate.command("readings")(readings)
evaluate.command("ehr-only")(ehr_only)
app.add_typer(evaluate, name="evaluate")
report.command("low-data")(low_data)
report.command("variants")(variants)
app.add_typer(represent, name="represent")
app.add_typer(report, name="report")
app.add_typer(paper, name="paper")
app.add_typer(figure_data, name="figure-data")
app.add_typer(figure, name="figure")


def main() -> None:
    """Entry point of `mmsn`."""
    app()
