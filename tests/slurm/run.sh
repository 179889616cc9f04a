#!/usr/bin/env bash
# The part of `make test` that needs a Slurm: brings one up on this machine, or says in one line why not.
# On a throw-away machine (a container of Debian's) it first installs what is missing. SLURM=no: never; SLURM=yes: also
# where systemd runs. A Slurm that this machine has is never touched.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin
CLUSTER=(munged slurmctld slurmd sbatch)
ACCOUNTS=(slurmdbd mariadbd mariadb-install-db)

skip() {
	echo "SKIPPED: tests on a real Slurm: $1"
	exit 0
}

lacks() {
	for program in "$@"; do command -v "$program" >/dev/null || return 0; done
	return 1
}

install() { # no service is started (RUNLEVEL), no question asked, five tries of the network at most a minute
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install --yes --no-install-recommends \
		-o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=30 "$@" &>>"$log"
}

[ "${SLURM:-}" != no ] || skip "SLURM=no"
[ "$(id -u)" = 0 ] || skip "root is needed, which slurmd wants"
[ -z "${SLURM_CONF:-}" ] || skip "SLURM_CONF names a cluster that is in use"
for file in slurm.conf slurmdbd.conf gres.conf cgroup.conf; do
	[ ! -e "/etc/slurm/$file" ] || [ -L "/etc/slurm/$file" ] || skip "/etc/slurm holds a configuration, which is left alone"
done
[ ! -d /run/systemd/system ] || [ "${SLURM:-}" = yes ] || skip "systemd runs, so this machine may be in use (SLURM=yes does it)"

if lacks "${CLUSTER[@]}" "${ACCOUNTS[@]}"; then
	command -v apt-get >/dev/null || skip "no slurmctld, and no apt-get to install it with"
	echo "Installing slurm-wlm, munge, slurmdbd and MariaDB with apt-get, for the tests on a real Slurm"
	log=$(mktemp)
	timeout 60 apt-get update -o Acquire::Retries=1 -o Acquire::http::Timeout=20 &>>"$log" || true
	! lacks "${CLUSTER[@]}" || install slurm-wlm munge || skip "apt-get did not install slurm-wlm and munge: $(tail -n 1 "$log")"
	! lacks "${ACCOUNTS[@]}" || install slurmdbd mariadb-server-core mariadb-client-core ||
		echo "SKIPPED: sacct: apt-get did not install slurmdbd and MariaDB: $(tail -n 1 "$log")"
fi
export MMSN_TEST_SLURM=1 OMP_NUM_THREADS=1
exec .venv/bin/python -m pytest -n 0 tests/slurm "$@"
