//! Differentiable kernels: one file each, forward and backward together.
