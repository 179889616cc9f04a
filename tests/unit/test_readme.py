"""README and docs say what a newcomer can rely on: every link, command, file and setting that they name is there."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from mmsn.cli import app
from mmsn.settings import Section
from mmsn.study import load_study
from mmsn.study_command import merged
from mmsn.training.settings import SECTIONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "results/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEN = ("splits", "linked", "resume", "re-running", "allocated", "preemption", "far", "conda", "memory", "plateau")
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _settings() -> dict:
    """Sections and their keys, those too that say where bytes lie and are in no record of a run."""
    study = load_study(merged([ROOT / "config.yaml"]))
    parts = {name: getattr(study, name) for name in type(study).model_fields}
    dumped = study.model_dump(mode="json")
    return {
        name: dict.fromkeys(type(part).model_fields) if isinstance(part, Section) else dumped[name]
        for name, part in parts.items()
    }


def test_the_readme_is_one_page():
    assert len(README.splitlines()) <= 75


@every_page
def test_no_placeholder_is_left(page):
    known = {"IMAGENET_STAT", "MMSN_CONTAINER"}
    assert not set(re.findall(r"\b[A-Z]{3,}_[A-Z]{2,}\b|TODO|FIXME", page.read_text())) - known


@every_page
def test_every_link_within_the_project_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)", page.read_text())
    for target, anchor in links:
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file), f"{target}#{anchor}"


@every_page
def test_every_file_that_it_names_exists(page):
    names = re.findall(r"`((?:workflow|benchmarks|profiles|rules|tests|envs)/[\w./-]+)`", page.read_text())
    new = {"workflow/mmsn/models/simclr.py", "workflow/mmsn/training/steps/simclr.py"}  # what adding/method.md makes
    for name in set(names) - new:
        assert (ROOT / name).exists(), name


@every_page
def test_every_make_target_that_it_names_exists(page):
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@every_page
def test_every_mmsn_command_that_it_names_exists_with_its_options(page):
    for command in re.findall(r"(?:`|^)(?:\.venv/bin/)?mmsn ([a-z][^`\n#]*)", page.read_text(), re.MULTILINE):
        group = get_command(app)
        words = shlex.split(re.sub(r"<[^>]*>", "X", command))
        while hasattr(group, "commands") and words:
            group = group.commands.get(words.pop(0))
            assert group is not None, command
        known = {option for parameter in group.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, command


@every_page
def test_every_setting_that_it_names_exists(page):
    config = _settings()
    sections = "|".join(re.escape(name) for name in config if isinstance(config[name], dict))
    for section, key in re.findall(rf"`({sections})\.(\w+)[:`]", page.read_text()):
        assert key in config[section] or section in ("backbones", "external"), f"{section}.{key}"
    for section, body in re.findall(
        rf"`({'|'.join([*SECTIONS, 'images', 'finetune', 'cohort'])}): (\{{[^`]*\}})`", page.read_text()
    ):
        said = yaml.safe_load(body.replace("<", "").replace(">", ""))
        assert set(said) <= set(config[section]), f"{section}: {body}"


@every_page
def test_every_preset_that_it_names_exists(page):
    assert set(re.findall(r"`preset: (\w+)`", page.read_text())) <= {"paper", "released", "corrected"}


def test_the_ten_questions_stand_in_the_index_and_are_answered():
    index, questions = (ROOT / "docs/index.md").read_text(), (ROOT / "docs/questions.md").read_text()
    numbered = re.findall(r"^## (\d+)\. (.+)$", questions, re.MULTILINE)
    assert [int(number) for number, _ in numbered] == list(range(1, 11))
    for (number, title), word in zip(numbered, TEN, strict=True):
        assert word in title
        assert f"{number}. [{title}](questions.md#" in index


def test_every_page_is_reached_from_the_index():
    index = (ROOT / "docs/index.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT / "docs"))
        assert name == "index.md" or f"]({name}" in index, name
    assert "docs/index.md" in README


def test_measured_memory_is_what_the_benchmark_that_it_names_says():
    said = (ROOT / "docs/questions.md").read_text()
    name = re.search(r"`(benchmarks/results/pretrain-step[^`]+)`", said)
    assert name
    peaks = re.findall(r"peak memory of ours: ([\d.]+) GB", (ROOT / name[1]).read_text())
    small, tiny = float(peaks[0]), float(peaks[2])  # ViT-S fp32, bf16, ViT-T fp32, bf16
    assert f"ViT-T {tiny:.1f} GB, ViT-S {small:.1f} GB" in said
