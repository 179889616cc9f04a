"""`mmsn plan` and `mmsn status`: what a run will take, and where it stands."""

from pathlib import Path
from typing import Annotated

import typer

from mmsn import console
from mmsn.errors import UserError
from mmsn.planning.jobs import Request

Targets = Annotated[list[str] | None, typer.Argument(help="Targets as snakemake takes them; none: the whole study.")]
Configfiles = Annotated[list[Path] | None, typer.Option("--configfile", help="Overlays, as for snakemake; repeatable.")]
Config = Annotated[list[str] | None, typer.Option("--config", help="KEY=VALUE, as for snakemake; repeatable.")]
Profile = Annotated[Path | None, typer.Option("--workflow-profile", help="As for snakemake, e.g. profiles/slurm.")]


def status(
    targets: Targets = None,
    configfile: Configfiles = None,
    config: Config = None,
    workflow_profile: Profile = None,
) -> None:
    """Which jobs are done, running, failed or stale, and why they would run again; safe beside a run."""

    def work() -> None:
        from mmsn.planning.evidence import gather
        from mmsn.planning.jobs import ask_twice
        from mmsn.planning.states import judge
        from mmsn.planning.status import status_text

        request = _request(targets, configfile, config, workflow_profile, 1)
        console.logger.info("Asking Snakemake for the jobs (up to a minute for a large study)")
        every, needed = ask_twice(request)
        evidence = gather(Path())
        typer.echo(status_text(judge(every, needed, evidence), evidence))

    raise typer.Exit(console.run(work))


def plan(
    targets: Targets = None,
    configfile: Configfiles = None,
    config: Config = None,
    workflow_profile: Profile = None,
    gpus: Annotated[list[int] | None, typer.Option(min=1, help="GPUs to give the wall time for; repeatable.")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="CPU cores of the machine; else 8 a GPU.")] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="Plan for so many images, e.g. 376201, not for those at hand.")
    ] = None,
    measured: Annotated[
        Path | None, typer.Option(help="Results folder to take times from; else the study's own.")
    ] = None,
) -> None:
    """Before a run: the jobs, GPU hours, disk and memory of the study, and the wall time for N GPUs."""

    def work() -> None:
        from mmsn.planning.jobs import ask_twice, results_folder
        from mmsn.planning.measured import read_measurements
        from mmsn.planning.plan import CORES_A_GPU, make_plan, plan_text
        from mmsn.planning.sizes import sizes_of, split_as_published

        counts = gpus or [1, 2, 4, 8]
        # as many cores as the widest rule asks for: Snakemake cuts a job's threads to what it is given
        request = _request(targets, configfile, config, workflow_profile, cores or CORES_A_GPU * max(counts))
        console.logger.info("Asking Snakemake for the jobs (up to a minute for a large study)")
        every, needed = ask_twice(request)
        results = results_folder(every) or Path("results")
        known = read_measurements(measured or results)
        if measured and known is None:
            raise UserError(
                f"{measured}: no study.yaml with benchmarks/*.tsv beside it; name a results folder of a run"
            )
        sizes = split_as_published(images, "--images") if images else sizes_of(results, every)
        typer.echo(plan_text(make_plan(needed, every, sizes, known), counts, cores))

    raise typer.Exit(console.run(work))


def _request(
    targets: list[str] | None,
    configfiles: list[Path] | None,
    config: list[str] | None,
    profile: Path | None,
    cores: int,
) -> Request:
    if not Path("Snakefile").is_file():
        raise UserError("no Snakefile here: start this where you start snakemake, in the checkout")
    return Request(tuple(targets or ()), tuple(configfiles or ()), tuple(config or ()), profile, cores)
