"""The container recipes: exactly the packages of the lock, a Python that the project takes, and code alone."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "envs" / "Dockerfile").read_text()
APPTAINER = (ROOT / "envs" / "mmsn.def").read_text()
RECIPES = pytest.mark.parametrize("recipe", [DOCKERFILE, APPTAINER], ids=["Dockerfile", "mmsn.def"])
LET_IN = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]


def _base(recipe: str) -> str:
    (base,) = re.findall(r"^(?:FROM|From:) (.+)$", recipe, flags=re.MULTILINE)
    return base


def _installations(recipe: str) -> list[list[str]]:
    return [shlex.split(words) for words in re.findall(r"pip install ([^&\n]+)", recipe)]


def _copied_by_docker() -> list[str]:
    return [word for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, flags=re.MULTILINE) for word in line.split()]


def _copied_by_apptainer() -> list[str]:
    files = APPTAINER.partition("%files\n")[2].partition("\n\n")[0]
    return [line.split()[0] for line in files.splitlines()]


@RECIPES
def test_the_base_is_one_exact_python_that_the_project_takes(recipe):
    version = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-\w+", _base(recipe))
    assert version
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert SpecifierSet(asked).contains(version[1])
    assert f"python={version[1].rpartition('.')[0]}" in (ROOT / "envs" / "mmsn.yaml").read_text()


def test_both_recipes_have_one_base():
    assert _base(DOCKERFILE) == _base(APPTAINER)


@RECIPES
def test_packages_are_those_of_the_lock_itself_and_no_others(recipe):
    packages, ours = _installations(recipe)
    assert packages == ["--no-cache-dir", "--no-deps", "--requirement", "/opt/mmsn/requirements.lock"]
    assert {"--no-deps", "--no-index", "--no-build-isolation"} < set(ours)
    assert ours[-2:] == ["--editable", "/opt/mmsn"]
    assert not re.search(r"\w==|https?://|apt-get|conda install", recipe)
    assert recipe.index("pip check") > recipe.index("requirements.lock")


def test_nothing_gets_into_an_image_unless_it_is_named_and_only_code_is_named():
    assert LET_IN[0] == "*"
    assert all(line[0] == "!" for line in LET_IN[1:])
    named = {line[1:].split("/")[0] for line in LET_IN[1:]}
    assert named == set(_copied_by_docker())
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert named <= {path.split("/")[0] for path in tracked}
    assert not named & {"data", "results", "benchmarks", "tests"}
    assert not any("data" in name or "result" in name for name in named)


def test_apptainer_takes_what_docker_takes():
    folders = {path.split("/")[0] for path in _copied_by_apptainer()}
    assert folders == set(_copied_by_docker())


CODE = ("profiles", "rules", "workflow")
KINDS = "csv csv.gz tsv txt json xlsx pkl pt npz npy npy.kept parquet duckdb dcm jpg jpeg png safetensors sif pyc"


def _planted(folder: Path) -> set[str]:
    """A copy of the code's names with lists of patients and the like in each of its folders; gives the code's."""
    listed = subprocess.run(["git", "ls-files", *CODE], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    code = {path for path in listed.split() if (ROOT / path).exists()}
    inside = {str(Path(path).parent) for path in code} | {"workflow/mmsn/mine"}
    private = {f"{place}/patients.{kind}" for place in inside for kind in KINDS.split()}
    for path in code | private | {"workflow/configs/stays", "workflow/mmsn/false_positives.csv"}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return code


def _there(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def _let_into_docker(path: str) -> bool:
    """`**/` is any number of folders, none among them, and `*` stays within one name."""
    patterns = (re.escape(line[1:]).replace(r"\*\*/", "(.+/)?").replace(r"\*", "[^/]*") for line in LET_IN[1:])
    return any(re.fullmatch(pattern, path) for pattern in patterns)


def test_all_code_gets_into_both_images_and_a_list_of_patients_beside_it_into_none(tmp_path):
    code = _planted(tmp_path)
    assert {path for path in _there(tmp_path) if _let_into_docker(path)} == code
    assert not any(_let_into_docker(f"{place}patients.{kind}") for place in ("", "envs/") for kind in KINDS.split())
    (removal,) = re.findall(r"^    (find profiles .+?-empty -delete)$", APPTAINER, flags=re.MULTILINE | re.DOTALL)
    subprocess.run(["sh", "-ec", removal], cwd=tmp_path, check=True)
    assert _there(tmp_path) == code
    assert not (tmp_path / "workflow/mmsn/mine").exists()


def test_every_command_makes_private_files_and_a_checkout_brings_its_own_code(tmp_path):
    package = tmp_path / "workflow" / "mmsn"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    entry = ["bash", str(ROOT / "envs" / "entry.sh"), "bash", "-c", 'umask; echo "$USER"; echo "$PYTHONPATH"']
    inside, outside = (
        subprocess.run(entry, cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
        for folder in (tmp_path, tmp_path / "workflow")
    )
    assert inside.stdout.split() == ["0077", f"user{os.getuid()}", str(tmp_path / "workflow")]
    assert outside.stdout.split() == ["0077", f"user{os.getuid()}"]


@RECIPES
def test_the_image_runs_any_command_through_the_entry(recipe):
    assert "bash /opt/mmsn/envs/entry.sh" in recipe.replace('", "', " ")
    assert "PYTHONNOUSERSITE=1" in recipe
