# Where a job's software comes from: the Python that runs snakemake, a conda environment, or a container image. The code
# of mmsn is always this checkout's, in this file's neighbours and in jobs: it is what the digests in `params` describe.
# NEEDS  with --software-deployment-method apptainer: envs/mmsn.sif, or the file that MMSN_CONTAINER names
# MAKES  nothing, it holds no rules
import os
import re
import sys
from pathlib import Path
from shlex import quote

from snakemake_interface_executor_plugins.settings import DeploymentMethod

SOFTWARE = set(workflow.deployment_settings.deployment_method)
CODE = str(Path(workflow.basedir) / "workflow")
if CODE not in sys.path:
    sys.path.insert(0, CODE)

from mmsn.orphans import this_process


def local_image():
    """The container image: a file or an unpacked folder on a disk, never an address, so that nothing is downloaded."""
    named = os.environ.get("MMSN_CONTAINER")
    image = Path(named or f"{workflow.basedir}/envs/mmsn.sif")
    if not image.exists():
        mend = "MMSN_CONTAINER names it" if named else "make it with: apptainer build envs/mmsn.sif envs/mmsn.def"
        sys.exit(f"error: --software-deployment-method apptainer: no image at {named or image}; {mend}")
    if re.search(r"\s", str(image)):
        sys.exit(f"error: --software-deployment-method apptainer: Snakemake takes no path with a space: {image}")
    return str(image.absolute())


def job_prefix():
    """What stands before every command: outputs and logs are private, and which `mmsn` it runs.

    Without deployment that is the one beside this Python, whichever way snakemake was started. In a conda environment
    or a container it is this checkout's code with the Python that is first there; this machine's own packages stay out.
    """
    # A job ends with its shell and with this process, which starts it: on a cluster's node that is the Snakemake there,
    # which reads this file again. $PPID would be the container's own process in a container. See mmsn.orphans.
    private = f"set -euo pipefail; umask 077; export MMSN_SNAKEMAKE={quote(this_process())}; "
    if SOFTWARE & {DeploymentMethod.CONDA, DeploymentMethod.APPTAINER}:
        there = f"export PYTHONNOUSERSITE=1 PYTHONPATH={quote(CODE)}; "
        return private + there + 'mmsn() {{ python -m mmsn "$@"; }}; '  # braces doubled for Snakemake
    ours = quote(str(Path(sys.executable).parent))
    return f"{private}export PATH={ours}:$PATH PYTHONPATH={quote(CODE)}${{{{PYTHONPATH:+:$PYTHONPATH}}}}; "


os.umask(0o077)
PREFIX = job_prefix()
shell.prefix(PREFIX)

if DeploymentMethod.APPTAINER in SOFTWARE:

    container: local_image()
