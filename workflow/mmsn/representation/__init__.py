"""What an embedding holds beyond the linear AUROC: its geometry, neighbours, attributes; calibration and subgroups."""
