//! Capture, the on-disk activation store, and shuffled batches.
//!
//! A store holds the activations of one hook point of several variants on the same tokens. It need not
//! fit in memory.
//!
//! 1. [`capture`] runs the variants over the same examples and appends what the hook saw, token by
//!    token; [`import`] takes a plain `.safetensors` file that another program wrote.
//! 2. Values go to disk in shards: safetensors files that hold `activations [tokens, variants, d_model]`
//!    (f32, bf16 or f16) and, per token, its id, position, example, part and source. `manifest.json`
//!    lists the shards with their checksums and says which models and prompts made them. It is replaced
//!    atomically after every shard, so that a store cut off mid-write is noticed and can be finished.
//! 3. [`ActivationStore`] reads ranges of tokens, sequentially or in parts.
//! 4. [`Batches`] serves shuffled batches: chunks of tokens in keyed order fill a buffer, the buffer is
//!    shuffled under its own key, batches are cut from it. The n-th batch is a function of (seed, n)
//!    alone, so a reader that starts over in the middle sees the very same batches.
//!
//! NaN, infinite and all-zero activations are refused where they enter and where they are read, with their position.
//! The first token of each example, an outlier in most models, is stored but served to no fit and judged by no metric;
//! no other outlier is clipped or dropped. A plain file does not say which tokens are first: all of it is served.

mod batches;
mod capture;
mod check;
mod import;
mod manifest;
mod shard;
mod store;
mod writer;

pub use batches::{Batches, Order};
pub use capture::{CaptureSettings, Example, capture, capture_all};
pub use import::import;
pub use manifest::{ElementType, ExampleMeta, Part, TokenMeta};
pub use store::ActivationStore;
pub use writer::{Header, StoreWriter};
