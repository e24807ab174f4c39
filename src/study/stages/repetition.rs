//! How the stages of a repetition are called, for the stages that read them.

/// What an input's name begins with when the study's own stage is meant and not the repetition's.
pub(super) const ORIGINAL: &str = "original ";

/// The seed by which a repetition's stage is called: `dictionary seed 8`.
pub(super) fn seed(stage: &str) -> &str {
    stage.rsplit_once(" (").map_or(stage, |(_, seed)| seed.trim_end_matches(')'))
}
