"""Radiographs in: decoded once into a packed pixel store; every crop, flip, affine and mask on tensors."""
