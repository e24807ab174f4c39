//! Writing a store, shard by shard, so that a killed writer can go on.

use super::check;
use super::manifest::{EXAMPLES, ElementType, ExampleMeta, FORMAT, Manifest, TokenMeta};
use super::shard;
use super::store::ActivationStore;
use crate::error::{Error, Result, io};
use crate::foreign;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a store holds and what made it. Two equal headers describe the same store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The variants, in the order of the second axis.
    pub variants: Vec<String>,
    /// The hook point that was captured, by its TransformerLens name; empty if unknown.
    pub hook: String,
    /// The width of one activation vector.
    pub d_model: usize,
    /// How values are stored.
    pub element: ElementType,
    /// What made the values, such as the hash of each variant's weights and of the examples.
    pub provenance: Vec<(String, String)>,
}

/// Appends examples to a store. [`StoreWriter::finish`] makes it whole.
#[derive(Debug)]
pub struct StoreWriter {
    dir: PathBuf,
    manifest: Manifest,
    shard_bytes: usize,
    activations: Vec<u8>,
    tokens: Vec<TokenMeta>,
    examples: Vec<ExampleMeta>,
    written: usize,
}

impl StoreWriter {
    /// Starts a store in `dir`, or goes on with one of the same header that was cut off.
    ///
    /// # Errors
    /// If the folder cannot be written, or holds another store.
    pub fn create(dir: &Path, header: Header) -> Result<Self> {
        if header.variants.is_empty() || header.d_model == 0 {
            return Err(Error::request("expected at least one variant and a width of at least 1"));
        }
        std::fs::create_dir_all(dir).map_err(|error| io("create", dir, error))?;
        let manifest = if dir.join(super::manifest::MANIFEST).exists() {
            let found = Manifest::read(dir)?;
            if found.header != header {
                return Err(Error::request("the folder holds another activation store")
                    .hint("choose another --out, or remove the folder")
                    .at(dir.display()));
            }
            found
        } else {
            let new = Manifest { format: FORMAT, complete: false, header, examples: 0, shards: Vec::new() };
            new.write(dir)?;
            new
        };
        let written = manifest.shards.iter().map(|shard| shard.tokens).sum();
        Ok(Self {
            dir: dir.to_owned(),
            manifest,
            shard_bytes: 256 << 20,
            activations: Vec::new(),
            tokens: Vec::new(),
            examples: Vec::new(),
            written,
        })
    }

    /// Closes a shard after about so many bytes (default 256 MiB).
    #[must_use]
    pub fn with_shard_bytes(mut self, bytes: usize) -> Self {
        self.shard_bytes = bytes.max(1);
        self
    }

    /// How many examples an earlier, cut-off writer left safely on disk: go on with the next one.
    pub fn examples_done(&self) -> usize {
        self.manifest.examples
    }

    /// Whether the store is already whole.
    pub fn is_complete(&self) -> bool {
        self.manifest.complete
    }

    /// Appends whole examples: `activations` `[tokens, variants, d_model]` and what is known of each token.
    ///
    /// # Errors
    /// If sizes disagree, a value is NaN, infinite or part of an all-zero vector, is so once it is stored in half
    /// precision, or the disk fails.
    pub fn push(
        &mut self,
        activations: &[f32],
        tokens: &[TokenMeta],
        examples: &[ExampleMeta],
    ) -> Result<()> {
        let header = &self.manifest.header;
        let expected = tokens.len() * header.variants.len() * header.d_model;
        if activations.len() != expected {
            return Err(Error::work(format!(
                "expected {expected} activation values for {} tokens, found {}",
                tokens.len(),
                activations.len()
            )));
        }
        let first = self.written + self.tokens.len();
        check::finite(activations, &header.variants, header.d_model, first)?;
        let encoded = shard::encode(activations, header.element);
        if header.element != ElementType::F32 {
            // Half precision may overflow, or round a whole vector to zero.
            let stored = shard::decode(&encoded, header.element);
            check::finite(&stored, &header.variants, header.d_model, first)?;
        }
        self.activations.extend(encoded);
        self.tokens.extend_from_slice(tokens);
        self.examples.extend_from_slice(examples);
        if self.activations.len() >= self.shard_bytes { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.tokens.is_empty() {
            return Ok(());
        }
        let file = format!("shard_{:05}.safetensors", self.manifest.shards.len());
        let header = &self.manifest.header;
        let shape = [header.variants.len(), header.d_model];
        let entry = shard::write(&self.dir, &file, &self.activations, header.element, shape, &self.tokens)?;
        self.write_examples()?;
        self.written += self.tokens.len();
        self.manifest.shards.push(entry);
        self.manifest.examples += self.examples.len();
        self.manifest.write(&self.dir)?;
        self.activations.clear();
        self.tokens.clear();
        self.examples.clear();
        Ok(())
    }

    /// Appends the examples, dropping lines that a killed writer left beyond the manifest.
    fn write_examples(&self) -> Result<()> {
        let path = self.dir.join(EXAMPLES);
        let failed = |error| io("write", &path, error);
        let kept: String = match foreign::text(&path, foreign::DATA) {
            Ok(text) => text.lines().take(self.manifest.examples).flat_map(|line| [line, "\n"]).collect(),
            Err(_) if self.manifest.examples == 0 => String::new(),
            Err(error) => return Err(error),
        };
        let partial = self.dir.join(format!("{EXAMPLES}.partial"));
        let mut file = std::fs::File::create(&partial).map_err(failed)?;
        file.write_all(kept.as_bytes()).map_err(failed)?;
        for example in &self.examples {
            let line = serde_json::to_string(example)
                .map_err(|error| Error::work(format!("example cannot be written: {error}")))?;
            writeln!(file, "{line}").map_err(failed)?;
        }
        drop(file);
        std::fs::rename(&partial, &path).map_err(failed)
    }

    /// Writes what is left, marks the store whole and opens it.
    ///
    /// # Errors
    /// If nothing was pushed or the disk fails.
    pub fn finish(mut self) -> Result<ActivationStore> {
        self.flush()?;
        if self.manifest.shards.is_empty() {
            return Err(Error::work("no activations were captured").hint("there were no examples to run"));
        }
        self.manifest.complete = true;
        self.manifest.write(&self.dir)?;
        ActivationStore::open(&self.dir)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::*;

    #[test]
    fn what_half_precision_cannot_hold_is_refused_with_its_position() {
        let folder = tempfile::tempdir().unwrap();
        let header = Header {
            variants: vec!["base".into()],
            hook: String::new(),
            d_model: 2,
            element: ElementType::F16,
            provenance: Vec::new(),
        };
        let mut writer = StoreWriter::create(folder.path(), header).unwrap();
        let token = |position| TokenMeta { token: 0, position, example: 0, part: Part::Response };
        let mut push = |value: f32| {
            let values = [1.0, 1.0, value, value];
            writer.push(&values, &[token(0), token(1)], &[]).unwrap_err().to_string()
        };
        assert!(push(7e4).contains("inf at token 1, variant `base`"));
        assert!(push(1e-9).contains("zeros at token 1, variant `base`"));
    }
}
