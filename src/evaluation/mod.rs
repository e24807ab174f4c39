//! Sample, verify, and tabulate with honest error bars.
