"""Before, during and after a run: what it will take, where it stands, why a job would run again."""
