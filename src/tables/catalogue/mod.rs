//! Every table and every column that deltascope writes, with its type and meaning: the one place.
//!
//! The report's column reference is made from it, and a table whose rows have other fields is refused.

mod dictionaries;
mod evaluation;
mod experiments;
mod models;
mod spec;
mod training;

pub use dictionaries::{
    CONTEXTS, DICTIONARIES, DYNAMICS, FEATURES, PLANTED, PLANTED_KINDS, READOUTS, SHIFTS,
};
pub use evaluation::{
    AGREEMENTS, COMPARISONS, DISAGREEMENTS, ELSEWHERE, EVALUATIONS, OUTCOMES, PATTERNS, SEED_TRAJECTORIES,
    SEEDS, TRAJECTORIES,
};
pub use experiments::{
    CALIBRATION, CLAIMS, CONTROLS, DIFFERENCES, EFFECTS, NULLS, PUBLISHED, REPETITIONS, SETS, TRENDS,
};
pub use models::{ACTIVATION_DIFFERENCES, DIRECTIONS, DIVERGENCES, DIVERGENT_TOKENS, HEADS, PROBES, WEIGHTS};
pub use spec::{ColumnSpec, ColumnType, TableSpec, fixed, per_variant};
pub use training::{TIMINGS, TRAINING};

/// Every table, in the order in which a study makes them.
pub const ALL: &[&TableSpec] = &[
    &EVALUATIONS,
    &OUTCOMES,
    &TRAJECTORIES,
    &PATTERNS,
    &AGREEMENTS,
    &DISAGREEMENTS,
    &SEEDS,
    &COMPARISONS,
    &SEED_TRAJECTORIES,
    &ELSEWHERE,
    &DICTIONARIES,
    &EFFECTS,
    &CONTROLS,
    &DIFFERENCES,
    &SETS,
    &TRENDS,
    &PUBLISHED,
    &FEATURES,
    &READOUTS,
    &CONTEXTS,
    &SHIFTS,
    &DYNAMICS,
    &CLAIMS,
    &REPETITIONS,
    &NULLS,
    &TRAINING,
    &TIMINGS,
    &PLANTED,
    &PLANTED_KINDS,
    &CALIBRATION,
    &DIVERGENCES,
    &DIVERGENT_TOKENS,
    &ACTIVATION_DIFFERENCES,
    &DIRECTIONS,
    &PROBES,
    &HEADS,
    &WEIGHTS,
];
