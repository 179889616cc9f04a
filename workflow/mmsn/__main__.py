"""`python -m mmsn` is `mmsn`."""

from mmsn.cli import main

main()
