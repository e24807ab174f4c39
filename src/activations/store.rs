//! Reading a store.

use super::check;
use super::manifest::{EXAMPLES, ElementType, ExampleMeta, MANIFEST, Manifest, Part, TokenMeta};
use super::shard::{self, Reader};
use crate::error::{At, Error, Result};
use crate::foreign;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Activations of several variants on the same tokens, on disk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ActivationStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    variants: Vec<String>,
    hook: String,
    d_model: usize,
    provenance: Vec<(String, String)>,
    examples: Vec<ExampleMeta>,
    pieces: Vec<Piece>,
    tokens: usize,
    parts: Vec<Part>,
}

/// One file of the store: a shard, or a plain tensor that another program wrote.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) reader: Reader,
    pub(super) start: usize,
    pub(super) tokens: usize,
    pub(super) element: ElementType,
    /// A plain tensor has no token ids.
    pub(super) plain: bool,
    pub(super) checksum: Option<String>,
}

impl ActivationStore {
    /// Opens a store. Sizes are checked here, values as they are read, bytes by [`ActivationStore::verify`].
    ///
    /// # Errors
    /// If the folder is not a store, was cut off mid-write, or a shard is missing or of the wrong size.
    pub fn open(dir: &Path) -> Result<Self> {
        let manifest = Manifest::read(dir)?;
        if !manifest.complete {
            return Err(Error::work(format!(
                "the activation store was cut off after {} examples",
                manifest.examples
            ))
            .hint("run the same capture again: it goes on where it stopped")
            .at(dir.join(MANIFEST).display()));
        }
        let header = manifest.header;
        let (mut pieces, mut start, mut parts) = (Vec::new(), 0, Vec::new());
        for entry in &manifest.shards {
            let reader = Reader::open(&dir.join(&entry.file))?;
            let (dtype, shape) = reader.describe("activations")?;
            let expected = vec![entry.tokens, header.variants.len(), header.d_model];
            if shape != expected || dtype != shard::dtype(header.element) {
                return Err(Error::work(format!(
                    "expected activations {expected:?} of type {:?}, found {shape:?} of type {dtype:?}",
                    header.element
                ))
                .at(dir.join(&entry.file).display()));
            }
            parts.extend(reader.tokens(0..entry.tokens)?.into_iter().map(|meta| meta.part));
            let checksum = Some(entry.blake3.clone());
            let (tokens, element) = (entry.tokens, header.element);
            pieces.push(Piece { reader, start, tokens, element, plain: false, checksum });
            start += entry.tokens;
        }
        let examples = read_examples(&dir.join(EXAMPLES), manifest.examples)?;
        let (variants, hook, d_model) = (header.variants, header.hook, header.d_model);
        let provenance = header.provenance;
        let inner = Inner { variants, hook, d_model, provenance, examples, pieces, tokens: start, parts };
        Ok(Self(Arc::new(inner)))
    }

    /// A store around one plain tensor.
    pub(super) fn plain(variants: Vec<String>, d_model: usize, piece: Piece) -> Self {
        let tokens = piece.tokens;
        let inner = Inner {
            variants,
            hook: String::new(),
            d_model,
            provenance: Vec::new(),
            examples: Vec::new(),
            pieces: vec![piece],
            tokens,
            parts: vec![Part::Response; tokens],
        };
        Self(Arc::new(inner))
    }

    /// Whether both are one opened store.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The variants, in the order of the second axis.
    pub fn variants(&self) -> &[String] {
        &self.0.variants
    }

    /// The index of a variant.
    ///
    /// # Errors
    /// If the store does not hold it.
    pub fn variant(&self, name: &str) -> Result<usize> {
        self.0.variants.iter().position(|variant| variant == name).ok_or_else(|| {
            let known = self.0.variants.join("`, `");
            let error =
                Error::request(format!("expected a variant of the store (`{known}`), found `{name}`"));
            match crate::error::nearest(name, self.0.variants.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            }
        })
    }

    /// The hook point, by its TransformerLens name; empty if the store was imported.
    pub fn hook(&self) -> &str {
        &self.0.hook
    }

    /// The width of one activation vector.
    pub fn d_model(&self) -> usize {
        self.0.d_model
    }

    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.0.tokens
    }

    /// What made the values: names and hashes of models and examples.
    pub fn provenance(&self) -> &[(String, String)] {
        &self.0.provenance
    }

    /// The examples, by the index that tokens carry. Empty if the store was imported.
    pub fn examples(&self) -> &[ExampleMeta] {
        &self.0.examples
    }

    /// The part of every token.
    pub fn parts(&self) -> &[Part] {
        &self.0.parts
    }

    /// The tokens that no fit sees: the last examples, about a tenth of the tokens. Dictionaries are judged and
    /// features are classed on them, so examples should be shuffled before they are captured.
    pub fn held_out(&self) -> Range<usize> {
        let point = self.0.tokens - self.0.tokens / 10;
        let next = self.0.parts[point..].iter().position(|part| *part == Part::First);
        point + next.unwrap_or(0)..self.0.tokens
    }

    /// Reads tokens `range` as `[tokens, variants, d_model]`, row-major.
    ///
    /// # Errors
    /// If the range is outside the store, the disk fails, or a value is NaN, infinite or part of an all-zero vector.
    pub fn read(&self, range: Range<usize>) -> Result<Vec<f32>> {
        let row = self.0.variants.len() * self.0.d_model;
        let mut values = Vec::with_capacity(range.len() * row);
        for (piece, rows) in self.pieces(range)? {
            let first = piece.start + rows.start;
            let bytes = piece.reader.rows("activations", rows, row * piece.element.size())?;
            let read = shard::decode(&bytes, piece.element);
            check::finite(&read, &self.0.variants, self.0.d_model, first)
                .at(piece.reader.path().display())?;
            values.extend(read);
        }
        Ok(values)
    }

    /// Reads what is known of tokens `range`. Imported stores know only the order of their tokens.
    ///
    /// # Errors
    /// If the range is outside the store or the disk fails.
    pub fn tokens_meta(&self, range: Range<usize>) -> Result<Vec<TokenMeta>> {
        let mut tokens = Vec::with_capacity(range.len());
        for (piece, rows) in self.pieces(range)? {
            if piece.plain {
                let part = Part::Response;
                tokens.extend(rows.map(|row| TokenMeta { token: 0, position: row as u32, example: 0, part }));
            } else {
                tokens.append(&mut piece.reader.tokens(rows)?);
            }
        }
        Ok(tokens)
    }

    fn pieces(&self, range: Range<usize>) -> Result<impl Iterator<Item = (&Piece, Range<usize>)>> {
        if range.start > range.end || range.end > self.0.tokens {
            return Err(Error::request(format!(
                "expected tokens within 0..{}, found {}..{}",
                self.0.tokens, range.start, range.end
            )));
        }
        Ok(self.0.pieces.iter().filter_map(move |piece| {
            let start = range.start.max(piece.start);
            let end = range.end.min(piece.start + piece.tokens);
            (start < end).then(|| (piece, start - piece.start..end - piece.start))
        }))
    }

    /// Reads everything once and compares it with the checksums: one sequential pass, as fast as the disk, or about
    /// a second per GB where the operating system still holds the store.
    ///
    /// # Errors
    /// If a shard is not what was written.
    pub fn verify(&self) -> Result<()> {
        for piece in &self.0.pieces {
            let Some(expected) = &piece.checksum else { continue };
            let found = piece.reader.checksum()?;
            if found != *expected {
                return Err(Error::work(format!("expected a shard with checksum {expected}, found {found}"))
                    .hint("the file was changed or damaged; capture again")
                    .at(piece.reader.path().display()));
            }
        }
        Ok(())
    }
}

fn read_examples(path: &Path, count: usize) -> Result<Vec<ExampleMeta>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let text = foreign::text(path, foreign::DATA)?;
    let examples = text
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| Error::work(format!("expected one example a line, found {error}")))
        })
        .collect::<Result<Vec<_>>>()
        .at(path.display())?;
    if examples.len() != count {
        return Err(
            Error::work(format!("expected {count} examples, found {}", examples.len())).at(path.display())
        );
    }
    Ok(examples)
}
