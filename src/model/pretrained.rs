//! Models by name.

use super::{Model, hub};
use crate::compute::Compute;
use crate::error::{Error, Result};
use std::path::Path;

impl Model {
    /// The model of a name, on the CPU: a folder, or a repository of the Hugging Face hub with perhaps a revision
    /// (`HuggingFaceTB/SmolLM2-135M-Instruct@main`), downloaded as needed. Either may hold a model or a PEFT adapter.
    /// `HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` mean what they do in `huggingface_hub`.
    ///
    /// # Errors
    /// If there is none of that name, a download fails, or as [`Model::load`].
    pub fn from_pretrained(name: impl AsRef<Path>) -> Result<Self> {
        Self::from_pretrained_on(name, Compute::cpu())
    }

    /// As [`Model::from_pretrained`], on another device: `Compute::named("cuda:0", "bf16")?`.
    ///
    /// # Errors
    /// As [`Model::from_pretrained`].
    pub fn from_pretrained_on(name: impl AsRef<Path>, compute: impl Into<Compute>) -> Result<Self> {
        let name = name.as_ref();
        let text = name
            .to_str()
            .ok_or_else(|| Error::request(format!("expected a name in UTF-8, found `{}`", name.display())))?;
        Self::load(&hub::find(text)?, compute)
    }
}
