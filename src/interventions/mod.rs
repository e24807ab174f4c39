//! What is written into a forward pass, and nothing else.
//!
//! Every edit is a delta, so that the receiver keeps all that the dictionary does not explain
//! (PROTOCOL 3): at a hook point, `h_v <- h_v + dose * delta`. With `S` the feature set, `f` the joint
//! code at that token, `d_j^v` the decoder of feature `j` for the receiver `v` and `A` a donor:
//!
//! | edit | delta |
//! |---|---|
//! | zero | `- sum_S f_j d_j^v` |
//! | mean | `sum_S (m_j - f_j) d_j^v`, with `m` the mean code on the selection half |
//! | resample | `sum_S (f'_j - f_j) d_j^v`, with `f'` the code at a random token of the selection half |
//! | clamp, steer | `sum_S (c p_j - f_j) d_j^v`; `sum_S c p_j d_j^v`; `p` the 95th percentile when active, `c` the dose |
//! | transplant | `sum_S f_j (d_j^A - d_j^v)` |
//! | project_out, add_direction | `- r r^T h`; `c r` |
//! | whole_difference, error_only | `h_A - h_v`; the part of it that no feature explains |
//!
//! [`Edit`] is the choice as it stands in a study file, [`Writer`] the choice made ready for one
//! receiver, and [`Tally`] the count of what was really written: an edit that never acts, or whose
//! delta vanishes, is reported as untestable by construction and not as "no effect".
//!
//! Edits act at every position except those that hold the begin-of-sequence token, on prompt and
//! response alike unless [`Positions`] says otherwise.

mod edit;
mod reference;
mod tally;
mod writer;

pub use edit::{Edit, Positions};
pub use reference::{CodeBank, Reference};
pub use tally::{Part, Tallies, Tally};
pub use writer::{Decoders, FeatureDelta, Position, Writer};
