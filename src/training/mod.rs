//! SFT and policy gradient, optimiser, schedules, checkpoints.
