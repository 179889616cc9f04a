"""A one-node Slurm on this machine, from Debian's packages: munged, slurmctld, slurmd, and GPUs that are /dev/null."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
_SECONDS_TO_START = 60
_SETTINGS = ("slurm.conf", "gres.conf", "cgroup.conf")
_ETC = Path("/etc/slurm")  # jobs look here: Snakemake takes SLURM_CONF from their environment


class Cluster:
    """A running cluster and the environment to ask it in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PATH": search_path()}

    def __call__(self, *command: str) -> str:
        """What a Slurm command prints."""
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout


def search_path() -> str:
    """PATH with the folders where Debian keeps daemons."""
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


def missing() -> list[str]:
    """What a cluster needs and this machine lacks; empty when one can be brought up."""
    lacking = [program for program in NEEDED if shutil.which(program, path=search_path()) is None]
    if os.geteuid() != 0:
        lacking.append("root, which slurmd wants")
    if any((_ETC / name).exists() for name in _SETTINGS):
        lacking.append(f"an {_ETC} without settings of another cluster")
    return lacking


@contextmanager
def one_node(folder: Path, gpus: int = 1) -> Iterator[Cluster]:
    """Bring a cluster up in `folder`, and end its daemons by process id whatever happens."""
    cluster = Cluster(folder)
    _write_settings(folder, gpus)
    munge = folder / "munge"
    files = [f"--{kind}-file={munge}/{kind}" for kind in ("key", "pid", "log", "seed")]
    with _announced(folder), ExitStack() as daemons:
        daemons.enter_context(_daemon(cluster, "munged", "--foreground", "--force", f"--socket={munge}/socket", *files))
        _wait(lambda: (munge / "socket").exists(), "munged has no socket", folder)
        daemons.enter_context(_daemon(cluster, "slurmctld", "-D"))
        daemons.enter_context(_daemon(cluster, "slurmd", "-D"))
        _wait(lambda: "idle" in _state(cluster), "the node is not idle", folder)
        yield cluster
        cluster("scancel", "--user", "root")


def _write_settings(folder: Path, gpus: int) -> None:
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "munge" / "key").write_bytes(os.urandom(128))
    (folder / "munge" / "key").chmod(0o600)
    host = socket.gethostname()
    controller, node = _free_ports(2)
    settings = {
        "ClusterName": "test",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": controller,
        "SlurmdPort": node,
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/munge/socket",
        "CredType": "cred/munge",
        "StateSaveLocation": f"{folder}/state",
        "SlurmdSpoolDir": f"{folder}/spool",
        "SlurmctldPidFile": f"{folder}/slurmctld.pid",
        "SlurmdPidFile": f"{folder}/slurmd.pid",
        "SlurmctldLogFile": f"{folder}/slurmctld.log",
        "SlurmdLogFile": f"{folder}/slurmd.log",
        "ProctrackType": "proctrack/linuxproc",  # a container has no cgroups of its own to give away
        "TaskPlugin": "task/none",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "SchedulerParameters": "sched_interval=1,bf_interval=1,sched_min_interval=200000",
        "GresTypes": "gpu",
        "SlurmdParameters": "config_overrides",  # a node as a cluster has it, whatever this machine is
        "ReturnToService": 2,
        "MailProg": "/bin/true",
        "KillWait": 20,
        "MinJobAge": 600,  # finished jobs can be asked for, as squeue is the only place to ask
    }
    lines = [f"{name}={value}" for name, value in settings.items()]
    lines.append(f"NodeName={host} NodeAddr=127.0.0.1 CPUs=32 RealMemory=500000 Gres=gpu:{gpus} State=UNKNOWN")
    lines.append(f"PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP")
    (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
    (folder / "gres.conf").write_text("".join("Name=gpu File=/dev/null\n" for _ in range(gpus)))
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")


@contextmanager
def _announced(folder: Path) -> Iterator[None]:
    """Let every Slurm command on this machine find the cluster."""
    _ETC.mkdir(exist_ok=True)
    links = [_ETC / name for name in _SETTINGS]
    for link in links:
        link.unlink(missing_ok=True)  # one whose target is gone
        link.symlink_to(folder / link.name)
    try:
        yield
    finally:
        for link in links:
            link.unlink()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def _daemon(cluster: Cluster, name: str, *options: str) -> Iterator[None]:
    program = shutil.which(name, path=search_path())
    assert program is not None, f"{name} is not installed: ask missing() first"
    with (cluster.folder / f"{name}.out").open("wb") as output:
        process = subprocess.Popen(
            [program, *options], env=cluster.environment, stdout=output, stderr=subprocess.STDOUT, cwd=cluster.folder
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def _state(cluster: Cluster) -> str:
    try:
        return cluster("sinfo", "--noheader", "--format=%T")
    except subprocess.CalledProcessError:
        return ""


def _wait(ready, otherwise: str, folder: Path) -> None:
    started = time.monotonic()
    while not ready():
        if time.monotonic() - started > _SECONDS_TO_START:
            logs = "".join(f"\n--- {path.name}\n{path.read_text()[-1500:]}" for path in sorted(folder.glob("*.out")))
            raise RuntimeError(f"{otherwise} after {_SECONDS_TO_START} s{logs}")
        time.sleep(0.5)
