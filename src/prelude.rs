//! What notebooks import: `use deltascope::prelude::*;` names everything that the front page uses, and every type in
//! its signatures.

pub use crate::compute::Compute;
pub use crate::dictionaries::{Codes, Declared, Dictionary};
pub use crate::error::{Error, Result};
pub use crate::experiments::{Condition, EditFile, Readout, Said, say};
pub use crate::interventions::{
    CodeBank, Decoders, Direction, Edit, Features, Generation, Head, HeadWriter, HooksUnder, Intervene,
    Intervention, Patch, Positions, Reading, Reference, Tallies, Tally, View, Writer, sample_under, under,
};
pub use crate::model::{
    BlockPoint, Completion, Config, Finish, Gradients, HookPoint, HookSite, Hooks, LlamaShape, Model,
    Parameter, Parameters, Prompt, Run, SampleSettings, Text, TokenBatch, Tokenizer, Under, sample_model,
};
pub use crate::progress::Observer;
pub use crate::tasks::Document;
pub use crate::training::{AdamW, OptimiserSettings, SftSettings, TrainingRun, train_sft, train_sft_under};
pub use candle_core::{self, DType, Device, IndexOp, Tensor, Var};
