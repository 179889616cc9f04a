"""`mmsn synth`: write the synthetic data set."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from mmsn import console
from mmsn.errors import UserError


def synth(
    output: Annotated[Path, typer.Option(help="Folder to write; it appears when complete.")],
    patients: Annotated[int | None, typer.Option(help="Patients with radiographs (350).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
    side: Annotated[int, typer.Option(help="Longest side of a radiograph, pixels.")] = 512,
    ehr_strength: Annotated[float, typer.Option(help="Tie of the EHR to findings and pixels: 0 (none) to 1.")] = 1.0,
    tables_only: Annotated[bool, typer.Option("--tables-only", help="No radiographs.")] = False,
    images: Annotated[int | None, typer.Option(help="Exact number of images (5.8 a patient).")] = None,
    external: Annotated[bool, typer.Option(help="Also CheXpert- and NIH-14-shaped sets.")] = True,
    mimic_iv_version: Annotated[str, typer.Option(help="Table layout: 2.2 or 1.0.")] = "2.2",
    split_shares: Annotated[
        str | None, typer.Option(help="Patients in train,validate,test, such as 0.7,0.1,0.2.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that draw.", min=1)] = 1,
    log: Annotated[Path | None, typer.Option(help="Log file.")] = None,
) -> None:
    """Write a MIMIC-shaped data set of drawn radiographs whose truth is known."""

    def work() -> None:
        from mmsn.config_errors import explain
        from mmsn.synthetic.dataset import write_dataset
        from mmsn.synthetic.published import IMAGES, PATIENTS
        from mmsn.synthetic.settings import SynthSettings

        scaled = round(images * PATIENTS / IMAGES) if images is not None else 350
        try:
            settings = SynthSettings.model_validate(
                {
                    "patients": patients if patients is not None else scaled,
                    "images": images,
                    "seed": seed,
                    "side": side,
                    "ehr_strength": ehr_strength,
                    "tables_only": tables_only,
                    "external": external,
                    "mimic_iv_version": mimic_iv_version,
                    "split_shares": split_shares.split(",") if split_shares else None,
                }
            )
        except ValidationError as error:
            raise UserError(f"mmsn synth: {explain(error, SynthSettings)}") from error
        write_dataset(settings, output, workers)

    raise typer.Exit(console.run(work, log))
