"""Slurm's accounting for the test cluster, which `sacct` asks: slurmdbd, and a MariaDB in a folder of its own."""

import secrets
import shutil
import socket
import subprocess

from tests.slurm.cluster import Cluster
from tests.slurm.daemons import free_ports, search_path, wait

NEEDED = ("slurmdbd", "mariadbd", "mariadb-install-db", "sacct", "sacctmgr")


def missing() -> list[str]:
    """Programs that accounting needs and this machine lacks."""
    return [program for program in NEEDED if shutil.which(program, path=search_path()) is None]


def start_accounting(cluster: Cluster) -> dict[str, object]:
    """Start a database and slurmdbd beside a cluster that comes up; the settings by which slurmctld finds them."""
    folder, password = cluster.folder, secrets.token_hex(16)
    database, accounting = free_ports(2)
    _start_database(cluster, database, password)
    settings = {
        "DbdHost": cluster.host,
        "DbdAddr": "127.0.0.1",
        "DbdPort": accounting,
        "SlurmUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={cluster.munge_socket}",
        "StorageType": "accounting_storage/mysql",
        "StorageHost": "127.0.0.1",
        "StoragePort": database,
        "StorageUser": "slurm",
        "StoragePass": password,
        "LogFile": f"{folder}/slurmdbd.log",
        "PidFile": f"{folder}/slurmdbd.pid",
    }
    file = folder / "slurmdbd.conf"
    file.touch(mode=0o600)  # slurmdbd refuses one that others can read
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    cluster.start("slurmdbd", "-D")
    wait(lambda: _listens(accounting), "slurmdbd does not listen", folder)
    found = {
        "AccountingStorageType": "accounting_storage/slurmdbd",
        "AccountingStorageHost": "127.0.0.1",
        "AccountingStoragePort": accounting,
        "AccountingStoragePass": cluster.munge_socket,  # with munge its socket, not a password
    }
    _register(cluster, found)
    return found


def _start_database(cluster: Cluster, port: int, password: str) -> None:
    data = cluster.folder / "database"
    place = ("--no-defaults", f"--datadir={data}", "--user=root")
    subprocess.run(
        ["mariadb-install-db", *place, "--auth-root-authentication-method=normal", "--skip-test-db"],
        env=cluster.environment,
        check=True,
        capture_output=True,
        timeout=120,
    )
    first = cluster.folder / "first.sql"
    first.touch(mode=0o600)
    first.write_text(
        f"CREATE USER 'slurm'@'%' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'%';\n"
        "ALTER USER 'root'@'localhost' ACCOUNT LOCK;\n"
    )
    network = (f"--port={port}", "--bind-address=127.0.0.1", f"--socket={cluster.folder}/database.socket")
    cluster.start("mariadbd", *place, *network, f"--init-file={first}", f"--pid-file={cluster.folder}/mariadbd.pid")
    wait(lambda: _listens(port), "MariaDB does not listen", cluster.folder)


def _register(cluster: Cluster, found: dict[str, object]) -> None:
    """Name the cluster in the accounts, with settings just enough to ask."""
    least = {"ClusterName": "test", "SlurmctldHost": cluster.host, "AuthInfo": f"socket={cluster.munge_socket}"}
    lines = [f"{name}={value}" for name, value in {**least, **found}.items()]
    cluster.settings.write_text("\n".join(lines) + f"\nNodeName={cluster.host}\n")
    wait(lambda: _added(cluster), "slurmdbd does not take the cluster", cluster.folder)


def _added(cluster: Cluster) -> bool:
    command = ["sacctmgr", "--immediate", "add", "cluster", "test"]
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode == 0 or "already exists" in done.stdout


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
