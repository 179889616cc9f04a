"""A one-node Slurm on this machine, from Debian's packages: munged, slurmctld, slurmd, and GPUs that are /dev/null."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.slurm import production
from tests.slurm.daemons import daemon, free_ports, search_path, wait
from tests.slurm.production import ETC, OWNER, SETTINGS

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
_DEVICES = ("/dev/null", "/dev/zero")  # Slurm wants one file a GPU, and asks nothing of it
Accounting = Callable[["Cluster"], dict[str, object]]


class Cluster:
    """A running cluster and the environment to ask it in."""

    def __init__(self, folder: Path, gpus: int) -> None:
        self.folder, self.gpus = folder, gpus
        self.settings = folder / "slurm.conf"
        self.environment = {**os.environ, "PATH": search_path(), "SLURM_CONF": str(self.settings)}
        self.host = socket.gethostname()
        self.munge_socket = folder / "munge" / "socket"
        self.daemons = ExitStack()

    def __call__(self, *command: str) -> str:
        """What a Slurm command prints."""
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def start(self, name: str, *options: str) -> None:
        """A daemon that ends, by its process id, when the cluster does."""
        self.daemons.enter_context(daemon(name, options, self.folder, self.environment))


def missing() -> list[str]:
    """What a cluster needs and this machine lacks; empty when one can be brought up."""
    lacking = [program for program in NEEDED if shutil.which(program, path=search_path()) is None]
    if os.geteuid() != 0:
        lacking.append("root, which slurmd wants")
    return lacking


@contextmanager
def one_node(folder: Path, gpus: int = 1, accounting: Accounting | None = None) -> Iterator[Cluster]:
    """Bring a cluster up in `folder`, and end its jobs and its daemons by process id whatever happens.

    Raises:
        RuntimeError: something here speaks of a Slurm in use; nothing is done then.
    """
    production.clear()
    if signs := production.signs():
        raise RuntimeError(f"a Slurm that is in use is left alone: {'; '.join(signs)}")
    cluster = Cluster(folder, gpus)
    _make_folders(folder)
    (folder / OWNER).write_text(str(os.getpid()))
    with _announced(folder), cluster.daemons:
        files = [f"--{kind}-file={folder}/munge/{kind}" for kind in ("key", "pid", "log", "seed")]
        cluster.start("munged", "--foreground", "--force", f"--socket={cluster.munge_socket}", *files)
        wait(cluster.munge_socket.exists, "munged has no socket", folder)
        _write_settings(cluster, accounting(cluster) if accounting else {})
        cluster.start("slurmctld", "-D", "-f", str(cluster.settings))
        cluster.start("slurmd", "-D", "-f", str(cluster.settings))
        wait(lambda: "idle" in _state(cluster), "the node is not idle", folder)
        try:
            yield cluster
        finally:
            _end_jobs(cluster)


def _make_folders(folder: Path) -> None:
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "munge" / "key").write_bytes(os.urandom(128))
    (folder / "munge" / "key").chmod(0o600)


def _write_settings(cluster: Cluster, accounting: dict[str, object]) -> None:
    folder = cluster.folder
    controller, node = free_ports(2)
    settings = {
        "ClusterName": "test",
        "SlurmctldHost": f"{cluster.host}(127.0.0.1)",
        "SlurmctldPort": controller,
        "SlurmdPort": node,
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={cluster.munge_socket},cred_expire=10",  # a requeued job waits as long: else two minutes
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
        "ReturnToService": 1,  # one that is late comes back by itself, one that was set down when it is told to
        "MailProg": "/bin/true",
        "KillWait": 5,
        "MinJobAge": 600,  # finished jobs can be asked for, where squeue is the only place to ask
        **accounting,
    }
    lines = [f"{name}={value}" for name, value in settings.items()]
    node_has = f"CPUs=64 RealMemory=500000 Gres=gpu:{cluster.gpus}"
    lines.append(f"NodeName={cluster.host} NodeAddr=127.0.0.1 {node_has} State=UNKNOWN")
    lines.append(f"PartitionName=all Nodes={cluster.host} Default=YES MaxTime=INFINITE State=UP")
    cluster.settings.write_text("\n".join(lines) + "\n")
    (folder / "gres.conf").write_text("".join(f"Name=gpu File={device}\n" for device in _DEVICES[: cluster.gpus]))
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")


@contextmanager
def _announced(folder: Path) -> Iterator[None]:
    """Let Slurm commands within jobs find the cluster."""
    ETC.mkdir(exist_ok=True)
    links = [ETC / name for name in SETTINGS]
    for link in links:
        link.symlink_to(folder / link.name)
    try:
        yield
    finally:
        for link in links:
            link.unlink()


def _end_jobs(cluster: Cluster) -> None:
    """All jobs end; processes that were stopped by a signal too."""
    cluster("scancel", "--user", "root")
    deadline = time.monotonic() + 30
    while cluster("squeue", "--noheader", "--states=running,completing") and time.monotonic() < deadline:
        time.sleep(0.5)


def processes(folder: Path, *words: str) -> list[int]:
    """Ids of processes that work in a folder and whose command holds all the words, the oldest first."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text(errors="replace").split("\0")
            if (process / "cwd").samefile(folder) and set(words) <= set(command):
                found.append(int(process.name))
        except OSError:  # gone meanwhile
            continue
    return sorted(found)


def freeze(folder: Path, *words: str) -> list[int]:
    """Stop processes, which then hang: alive, and silent."""
    frozen = processes(folder, *words)
    for process in frozen:
        os.kill(process, signal.SIGSTOP)
    return frozen


def wake(frozen: list[int]) -> None:
    """Let frozen processes go on."""
    for process in frozen:
        os.kill(process, signal.SIGCONT)


def _state(cluster: Cluster) -> str:
    try:
        return cluster("sinfo", "--noheader", "--format=%T")
    except subprocess.CalledProcessError:
        return ""
