"""The worked examples of docs/adding are really worked: files written, edits made, commands run as the pages say."""

import re
import shlex
import shutil
import sys
from dataclasses import dataclass

import pandas as pd
import pytest
import yaml

from tests.workflow.project import ROOT, Project, planned_rules

pytestmark = pytest.mark.workflow
_BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>\w+)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"\*\*`(?P<path>[^`]+)`\*\*")
_PROGRAMS = {".venv/bin/snakemake": ["-m", "snakemake"], ".venv/bin/mmsn": ["-m", "mmsn"]}


@dataclass(frozen=True)
class Example:
    """What a page tells its reader to do: files to write, passages to change, commands to run."""

    files: dict[str, str]
    edits: list[tuple[str, str]]
    commands: list[str]


def _example(page: str) -> Example:
    text = (ROOT / "docs/adding" / page).read_text()
    files: dict[str, str] = {}
    edits: list[tuple[str, str]] = []
    commands: list[str] = []
    for block in _BLOCK.finditer(text):
        indent = len(block["indent"])
        body = "".join(line[indent:] if line.strip() else "\n" for line in block["body"].splitlines(keepends=True))
        named = _FILE.findall(text[: block.start()])
        if block["kind"] == "bash":
            commands += body.splitlines()
        elif block["kind"] == "diff":
            edits.append((named[-1], body))
        else:
            files[named[-1]] = body
    return Example(files, edits, commands)


def _apply(project: Project, file: str, diff: str) -> None:
    """Make the change that a diff without line numbers shows; its context must be there once."""
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    path = project.folder / file
    text = path.read_text()
    assert text.count(old) == 1, f"{file} holds this {text.count(old)} times:\n{old}"
    path.write_text(text.replace(old, "".join(line[1:] for line in lines if line[0] in " +")))


def _follow(project: Project, page: str) -> list[str]:
    """Do what a page says, with the smallest study below its overlay; what each command printed."""
    example = _example(page)
    for name, content in example.files.items():
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace("vit-small", "vit-ci"))
    for file, diff in example.edits:
        _apply(project, file, diff)
    said = []
    for command in example.commands:
        smallest = command.replace("--configfile ", "--configfile workflow/configs/ci.yaml ").replace(
            "vit-small", "vit-ci"
        )
        if ".venv/bin/mmsn" in command:  # one overlay an option there
            smallest = smallest.replace("ci.yaml ", "ci.yaml --configfile ")
        program, *arguments = shlex.split(smallest.replace("--cores all", "--cores 2"))
        done = project.run(sys.executable, *_PROGRAMS[program], *arguments)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        said.append(done.stdout)
    return said


@pytest.fixture
def project(tmp_path, synthetic) -> Project:
    copy = Project(tmp_path)
    (tmp_path / "data").symlink_to(synthetic)
    return copy


def test_an_ehr_variable_is_one_sql_file_and_one_line(project):
    _follow(project, "ehr-variable.md")
    table = pd.read_parquet(project.folder / "results/features/D+night.parquet")
    assert list(table.columns) == ["dicom_id", "male", "female", "age", "day", "night"]
    assert (table.day + table.night == 1).all()
    assert 0 < table.night.mean() < 1


def test_a_feature_set_is_one_line(project):
    _, planned = _follow(project, "feature-set.md")
    table = pd.read_parquet(project.folder / "results/features/age+icu.parquet")
    assert list(table.columns) == ["dicom_id", "age", "icu", "not_icu"]
    for method in ("msn+ehr.age+icu", "msn+ehr.age+icu.shuffled"):
        assert f"Pretraining vit-ci with {method}, seed 0" in planned


def test_a_backbone_is_one_line(project):
    _, plan = _follow(project, "backbone.md")
    encoder = project.folder / "results/pretrain/vit-deep/random-init/seed0/encoder.safetensors"
    assert encoder.stat().st_size > 4 * 24 * 12 * 192**2  # float32 weights of 24 blocks
    assert "pretrain" in plan


def test_a_data_set_is_a_table_and_a_label_map(project):
    radiographs = sorted((project.folder / "data/nih-14").rglob("*.png"))[:2]
    (project.folder / "my-set/images").mkdir(parents=True)
    for number, radiograph in enumerate(radiographs, start=1):
        shutil.copy(radiograph, project.folder / f"my-set/images/{number:04}.png")
    _, planned = _follow(project, "data-set.md")
    table = pd.read_parquet(project.folder / "results/cohort/my-set/images.parquet")
    assert list(table.split) == ["test", "test"]
    assert list(table["Lung Opacity"]) == [1, 0]
    assert {"score", "statistics", "results_table"} <= planned_rules(planned)


def test_a_method_is_two_modules_and_the_places_that_name_it(project):
    _follow(project, "method.md")
    folder = project.folder / "results/pretrain/vit-ci/simclr/seed0"
    history = pd.read_parquet(folder / "history.parquet")
    assert len(history) == 2
    assert history.loss.iloc[1] < history.loss.iloc[0]
    assert (folder / "encoder.safetensors").exists()
    resolved = yaml.safe_load((folder / "resolved.yaml").read_text())
    assert resolved["method"] == "simclr"
    assert resolved["simclr"]["temperature"] == 0.2
    assert resolved["simclr"]["batch_size"] == 16  # from `pretrain`, where `simclr` says nothing
