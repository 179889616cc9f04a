"""Make the golden files of this folder from lightly 1.4.21, in a virtual environment of its own:

    python -m venv ../lightly && ../lightly/bin/pip install lightly==1.4.21 torch==2.11 safetensors
    ../lightly/bin/python -W ignore -m tests.golden.make_golden

The tests read the files and need no lightly.
"""

from pathlib import Path

from safetensors.torch import save_file

from tests.golden import oracle, reference_losses, reference_networks, reference_steps

FOLDER = Path(__file__).parent


def main() -> None:
    for module in (reference_losses, reference_networks, reference_steps):
        name = module.__name__.rpartition("reference_")[2]
        tensors = {key: value.detach().contiguous().clone() for key, value in sorted(module.answers().items())}
        path = FOLDER / f"{name}.safetensors"
        save_file(tensors, path, metadata={"lightly": oracle.VERSION})
        path.chmod(0o644)


if __name__ == "__main__":
    main()
