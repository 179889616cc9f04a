#!/usr/bin/env bash
# What the images run: any command, `mmsn` and `snakemake` above all. What it makes is private, and in a checkout the
# checkout's code is used, so that one image serves every commit with the same requirements.lock.
umask 077
export USER="${USER:-user$(id -u)}"  # Snakemake asks for a name, which a number given with --user does not have
[ ! -f workflow/mmsn/__init__.py ] || export PYTHONPATH="$PWD/workflow"
[ $# -gt 0 ] || set -- mmsn --help
exec "$@"
