"""Multi-modal masked Siamese network: EHR-guided self-supervised pretraining for chest X-rays."""
