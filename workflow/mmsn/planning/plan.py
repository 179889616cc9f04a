"""`mmsn plan`: what the jobs of a study will take, by stage, and the text that says so."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmsn.planning.assumptions import DISK, SOURCES, STARTING, UNKNOWN
from mmsn.planning.estimate import Cost, Estimator
from mmsn.planning.jobs import TARGET, Job
from mmsn.planning.measured import WITH_MODEL, Measurements
from mmsn.planning.packs import in_packs
from mmsn.planning.schedule import stage_order, wall_hours
from mmsn.planning.sizes import Sizes

CORES_A_GPU = 8
"""What the rules that train and evaluate ask for."""


@dataclass(frozen=True)
class StagePlan:
    """One row of the table."""

    stage: str
    jobs: int
    gpu_hours: float
    cpu_hours: float
    """Hours of jobs without a GPU."""
    disk_gb: float
    memory_gb: float
    """Largest of one job."""
    measured: int
    """Jobs whose hours come from measurements."""


@dataclass(frozen=True)
class Plan:
    """What Snakemake would run, and what it takes."""

    jobs: tuple[Job, ...]
    costs: dict[str, Cost]
    sizes: Sizes
    measurements: Measurements | None
    elsewhere: Mapping[str, Sizes]
    """Images of the other data sets."""

    @property
    def jobs_by_rule(self) -> dict[str, int]:
        """As Snakemake's own table of job counts."""
        counts: dict[str, int] = {}
        for job in self.jobs:
            counts[job.rule] = counts.get(job.rule, 0) + 1
        return counts

    @property
    def work(self) -> list[Job]:
        """Jobs that do something: all but targets."""
        return [job for job in self.jobs if job.stage != TARGET]

    def stages(self) -> list[StagePlan]:
        """One row a stage, in the order in which they can run."""
        return [self._stage(stage) for stage in stage_order(self.work)]

    def _stage(self, stage: str) -> StagePlan:
        jobs = [job for job in self.work if job.stage == stage]
        costs = [self.costs[job.key] for job in jobs]
        gpu = sum(job.gpus * self.costs[job.key].hours for job in jobs)
        cpu = sum(self.costs[job.key].hours for job in jobs if not job.gpus)
        return StagePlan(
            stage,
            len(jobs),
            gpu,
            cpu,
            sum(cost.disk_gb for cost in costs),
            max(cost.memory_gb for cost in costs),
            sum(cost.measured for cost in costs),
        )

    def wall_hours(self, gpus: int, cores: int) -> float:
        """Hours from start to end on so many GPUs and cores."""
        return wall_hours(self.work, {key: cost.hours for key, cost in self.costs.items()}, gpus, cores)


def make_plan(jobs: Sequence[Job], every: Sequence[Job], sizes: Sizes, measurements: Measurements | None) -> Plan:
    """Estimate what `jobs`, of all jobs `every` of the study, will take."""
    estimator = Estimator(every, sizes, measurements)
    packed, costs = in_packs(jobs, {job.key: estimator.cost(job) for job in jobs})
    return Plan(tuple(packed), costs, sizes, measurements, estimator.elsewhere)


def plan_text(plan: Plan, gpus: Sequence[int], cores: int | None) -> str:
    """The table, the wall time for numbers of GPUs, and where the numbers come from."""
    if not plan.work:
        return "Nothing to be done: every result is there and up to date."
    return "\n".join([*_table(plan), "", *_wall(plan, gpus, cores), "", *_grounds(plan)])


def _table(plan: Plan) -> Iterator[str]:
    rows = plan.stages()
    width = max(len(row.stage) for row in rows)
    header = ("jobs", "GPU hours", "CPU hours", "disk GB", "memory GB")
    yield f"{'stage':<{width}}" + "".join(f"{name:>11}" for name in header) + "  hours from"
    for row in rows:
        yield _row(row.stage, width, row, _origin(row))
    whole = StagePlan(
        "all",
        sum(row.jobs for row in rows),
        sum(row.gpu_hours for row in rows),
        sum(row.cpu_hours for row in rows),
        sum(row.disk_gb for row in rows),
        max(row.memory_gb for row in rows),
        0,
    )
    yield _row("all", width, whole, "")


def _row(name: str, width: int, row: StagePlan, origin: str) -> str:
    numbers = [_short(number) for number in (row.gpu_hours, row.cpu_hours, row.disk_gb, row.memory_gb)]
    return f"{name:<{width}}{row.jobs:>11}" + "".join(f"{number:>11}" for number in numbers) + f"  {origin}".rstrip()


def _short(number: float) -> str:
    if number == 0:
        return "."
    if number < 0.01:
        return "<0.01"
    return f"{number:.2f}" if number < 10 else f"{number:,.0f}"


def _origin(row: StagePlan) -> str:
    if row.measured == 0:
        return "assumed"
    return "measured" if row.measured == row.jobs else f"measured ({row.measured} of {row.jobs})"


def _wall(plan: Plan, gpus: Sequence[int], cores: int | None) -> Iterator[str]:
    yield "Wall time, jobs started as soon as their inputs and a place on the machine are there:"
    for count in gpus:
        have = cores or CORES_A_GPU * count
        name = "1 GPU" if count == 1 else f"{count} GPUs"
        yield f"  {name + ',':<8} {have} cores: {_time(plan.wall_hours(count, have))}"


def _time(hours: float) -> str:
    if hours < 2 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 2:
        return f"{60 * hours:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.1f} days"


def _grounds(plan: Plan) -> Iterator[str]:
    sizes = plan.sizes
    yield (
        f"Images: {sizes.total:,} ({sizes.train:,} train, {sizes.validate:,} validate, {sizes.test:,} test), "
        f"from {sizes.source}."
    )
    if plan.elsewhere:
        counted = (f"{name} {other.total:,} ({other.source})" for name, other in plan.elsewhere.items())
        yield f"Images of other data sets: {', '.join(counted)}."
    rows = plan.stages()
    if plan.measurements and any(row.measured for row in rows):
        yield (
            f"Measured: {plan.measurements.folder}, {plan.measurements.images:,} images, on "
            f"{plan.measurements.devices}; hours by images times passes. Memory there is the peak measured."
        )
        if any(row.measured and row.gpu_hours for row in rows):
            yield "  'GPU hours' of measured stages are hours of the device named there, whatever it is."
    assumed = [row.stage for row in rows if row.measured < row.jobs]
    if assumed:
        yield "Assumed (memory is then what the rule reserves):"
        yield from (f"  {stage}: {SOURCES[stage]}" for stage in assumed if stage in SOURCES)
        unknown = [stage for stage in assumed if stage not in SOURCES]
        if unknown:
            yield f"  {', '.join(unknown)}: {UNKNOWN}"
        if any(stage.startswith(WITH_MODEL) for stage in assumed):
            yield f"  {STARTING}"
    if any("pack" in job.options for job in plan.work):
        yield "Packs (runs.pack): one job takes the hours of all its runs, no gain assumed; see benchmarks/packing.py."
    yield DISK
    yield "Early stopping shortens this. Checkpoints of running models are not counted: six times an encoder each."
