//! Problems, verifiers, suites and the built-in microcosm.
