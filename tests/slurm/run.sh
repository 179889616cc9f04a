#!/usr/bin/env bash
# The part of `make test` that needs a Slurm: brings one up on this machine, or says in one line why not.
# In a container of Debian's it first installs what is missing. SLURM=no: never; SLURM=yes: also on a machine that is no
# container, with what it has. A Slurm in use is never touched. SLURM_SECONDS: how long all of it may take.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin
CLUSTER=(munged slurmctld slurmd sbatch)
ACCOUNTS=(slurmdbd mariadbd mariadb-install-db)
SECONDS_FOR_ALL=${SLURM_SECONDS:-900}

skip() {
	echo "SKIPPED: tests on a real Slurm: $1"
	exit 0
}

lacks() {
	for program in "$@"; do command -v "$program" >/dev/null || return 0; done
	return 1
}

in_container() { # a machine to throw away
	[ ! -e /.dockerenv ] && [ ! -e /run/.containerenv ] && [ -z "${container:-}" ] || return 0
	! grep -qsE 'docker|containerd|kubepods|libpod|lxc' /proc/1/cgroup || return 0
	[ ! -d /run/systemd/system ] || return 1
	case "$(cat /proc/1/comm)" in *init* | systemd* | openrc* | runit* | s6-* | launchd) return 1 ;; esac
}

fetch() { # at most a minute of network, where a limit does no harm
	timeout 60 apt-get "$@" --yes -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=20 &>>"$log"
}

install() ( # what is fetched is installed without a limit: dpkg must not be stopped half-way; no service is started
	fetch install --download-only --no-install-recommends "$@" || exit 1
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		trap 'rm -f $policy' EXIT
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
	fi
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-download --no-install-recommends \
		-o DPkg::Lock::Timeout=20 -o Dpkg::Options::=--force-confold "$@" </dev/null &>>"$log"
)

[ "${SLURM:-}" != no ] || skip "SLURM=no"
[ "$(id -u)" = 0 ] || skip "root is needed, which slurmd wants"
in_container || [ "${SLURM:-}" = yes ] || skip "this is no container, so it may be in use (SLURM=yes does it)"
signs=$(.venv/bin/python -m tests.slurm.production)
[ -z "$signs" ] || skip "a Slurm that is in use is left alone: $signs"

if lacks "${CLUSTER[@]}" "${ACCOUNTS[@]}" && in_container && command -v apt-get >/dev/null; then
	echo "Installing slurm-wlm, munge, slurmdbd and MariaDB with apt-get, for the tests on a real Slurm"
	log=$(mktemp)
	fetch update || true
	! lacks "${CLUSTER[@]}" || install slurm-wlm munge || skip "apt-get did not install slurm-wlm and munge: $(tail -n 1 "$log")"
	! lacks "${ACCOUNTS[@]}" || install slurmdbd mariadb-server-core mariadb-client-core || tail -n 1 "$log"
fi
! lacks "${CLUSTER[@]}" || skip "no slurmctld, slurmd and munged (Debian: slurm-wlm, munge), and installed only in a container"
! lacks "${ACCOUNTS[@]}" || echo "SKIPPED: sacct: slurmdbd or MariaDB is missing, so Slurm runs without accounting"

export MMSN_TEST_SLURM=1 OMP_NUM_THREADS=1
timeout --foreground -k 30 "$SECONDS_FOR_ALL" .venv/bin/python -m pytest -n 0 tests/slurm "$@" &
tests=$!
trap 'kill -TERM $tests' INT TERM HUP # they take their cluster down
while :; do # a wait ends at a signal too
	status=0
	wait $tests || status=$?
	kill -0 $tests 2>/dev/null || break
done
.venv/bin/python -m tests.slurm.production >/dev/null # of tests that had to be killed, the daemons
if [ $status = 124 ] || [ $status = 137 ]; then
	echo "FAILED: tests on a real Slurm: not done after $SECONDS_FOR_ALL s, which is their limit (SLURM_SECONDS)"
fi
exit $status
