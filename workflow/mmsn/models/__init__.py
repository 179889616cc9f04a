"""Models and loss functions: pure modules, no files, no configuration."""
