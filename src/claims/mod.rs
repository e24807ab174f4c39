//! Effects and controls become verdicts.
