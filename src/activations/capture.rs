//! Running variants over the same examples and storing what one hook point saw.

use super::manifest::{ElementType, ExampleMeta, Part, TokenMeta};
use super::store::ActivationStore;
use super::writer::{Header, StoreWriter};
use crate::error::{At, Error, Result};
use crate::model::{BlockPoint, Gradients, HookPoint, Hooks, Model, TokenBatch};
use crate::progress::Observer;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A prompt and a response that all variants read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// The prompt's tokens and the response's, the first being the one that begins a text.
    pub tokens: Vec<u32>,
    /// How many of them are the prompt.
    pub prompt_length: usize,
    /// Which variant wrote the response, or where the text came from.
    pub source: String,
    /// The id of the problem it answers; empty when there is none.
    pub problem: String,
}

/// How activations are captured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureSettings {
    /// How values are stored.
    pub element: ElementType,
    /// Token ids that belong to the template, such as the mark that closes the prompt.
    pub template: Vec<u32>,
    /// Examples that are run at once.
    pub rows: usize,
}

impl Default for CaptureSettings {
    fn default() -> Self {
        Self { element: ElementType::F32, template: Vec::new(), rows: 64 }
    }
}

impl CaptureSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// If `rows` is zero.
    pub fn check(&self) -> Result<()> {
        if self.rows == 0 {
            return Err(Error::request("field `rows`: expected at least 1, found 0"));
        }
        Ok(())
    }

    /// The part that the token at `position` of `example` plays.
    fn part(&self, example: &Example, position: usize) -> Part {
        match example.tokens.get(position) {
            _ if position == 0 => Part::First,
            Some(token) if self.template.contains(token) => Part::Template,
            _ if position < example.prompt_length => Part::Prompt,
            _ => Part::Response,
        }
    }
}

/// Captures `hook` of every model on every token of `examples` into the store at `dir`. A capture that was
/// cut off goes on after the last shard that is whole. The last tenth of the tokens is held out from fits
/// ([`ActivationStore::held_out`]), so examples should come shuffled.
///
/// # Errors
/// If an example has no token, the models' tokenizers differ, a model has no such hook, the hook is not per
/// token, a value is not finite, the disk fails, or a stop was asked for.
pub fn capture(
    models: &[(String, Model)],
    hook: HookPoint,
    examples: &[Example],
    dir: &Path,
    settings: &CaptureSettings,
    observer: &Observer,
) -> Result<ActivationStore> {
    let mut stores = capture_all(models, &[(hook, dir.to_owned())], examples, settings, observer)?;
    stores.pop().ok_or_else(|| Error::work("a capture gave no store"))
}

/// Captures several hooks, each into a store of its own, in one pass of the models.
///
/// # Errors
/// As [`capture`].
pub fn capture_all(
    models: &[(String, Model)],
    places: &[(HookPoint, PathBuf)],
    examples: &[Example],
    settings: &CaptureSettings,
    observer: &Observer,
) -> Result<Vec<ActivationStore>> {
    settings.check()?;
    check_examples(examples)?;
    check_tokenizers(models)?;
    let hooks: Vec<HookPoint> = places.iter().map(|(hook, _)| *hook).collect();
    let per_token =
        |hook: &&HookPoint| !matches!(hook, HookPoint::Block(_, BlockPoint::Scores | BlockPoint::Pattern));
    if let Some(hook) = hooks.iter().find(|hook| !per_token(hook)) {
        return Err(Error::request(format!("expected a hook with one vector per token, found `{hook}`"))
            .hint("capture a residual stream, such as `blocks.0.hook_resid_post`"));
    }
    let Some(((_, first), example)) = models.first().zip(examples.first()) else {
        return Err(Error::request("expected at least one model and one example, found none"));
    };
    let provenance = provenance(models, examples, settings)?;
    let widths = vectors(first, &hooks, std::slice::from_ref(example))?.into_iter().map(|(_, width)| width);
    let mut writers = Vec::new();
    for ((hook, dir), d_model) in places.iter().zip(widths) {
        let header = Header {
            variants: models.iter().map(|(name, _)| name.clone()).collect(),
            hook: hook.to_string(),
            d_model,
            element: settings.element,
            provenance: provenance.clone(),
        };
        writers.push((StoreWriter::create(dir, header)?, d_model));
    }
    // A store that is whole, or further than the others, lets examples pass that it has.
    let done = |writer: &StoreWriter| if writer.is_complete() { usize::MAX } else { writer.examples_done() };
    let mut bar = observer.bar("capture", examples.len() as u64, "examples");
    for (index, batch) in examples.chunks(settings.rows).enumerate() {
        let first = index * settings.rows;
        if writers.iter().all(|(writer, _)| first < done(writer)) {
            bar.advance(batch.len() as u64);
            continue;
        }
        observer.check()?;
        let mut values: Vec<Vec<Vec<f32>>> = vec![Vec::new(); hooks.len()];
        for (name, model) in models {
            let found = vectors(model, &hooks, batch).at(format!("variant `{name}`"))?;
            for ((values, (found, width)), (_, d_model)) in values.iter_mut().zip(found).zip(&writers) {
                if width != *d_model {
                    return Err(Error::request(format!(
                        "expected activations of width {d_model}, found {width} in variant `{name}`"
                    )));
                }
                values.push(found);
            }
        }
        let (tokens, about) = describe(batch, first, settings);
        for ((writer, d_model), values) in writers.iter_mut().zip(&values) {
            if first >= done(writer) {
                writer.push(&interleave(values, *d_model), &tokens, &about)?;
            }
        }
        bar.advance(batch.len() as u64);
    }
    let finish = |((writer, _), (_, dir)): ((StoreWriter, usize), &(HookPoint, PathBuf))| {
        if writer.is_complete() { ActivationStore::open(dir) } else { writer.finish() }
    };
    writers.into_iter().zip(places).map(finish).collect()
}

/// What is known of the tokens and examples of a batch that begins with example `first`.
fn describe(
    batch: &[Example],
    first: usize,
    settings: &CaptureSettings,
) -> (Vec<TokenMeta>, Vec<ExampleMeta>) {
    let (mut tokens, mut about) = (Vec::new(), Vec::new());
    for (offset, example) in batch.iter().enumerate() {
        tokens.extend(example.tokens.iter().enumerate().map(|(position, token)| TokenMeta {
            token: *token,
            position: position as u32,
            example: (first + offset) as u32,
            part: settings.part(example, position),
        }));
        about.push(ExampleMeta {
            source: example.source.clone(),
            problem: example.problem.clone(),
            tokens: example.tokens.len(),
            prompt_length: example.prompt_length,
        });
    }
    (tokens, about)
}

fn check_examples(examples: &[Example]) -> Result<()> {
    for (index, example) in examples.iter().enumerate() {
        if example.tokens.is_empty() || example.prompt_length > example.tokens.len() {
            return Err(Error::request(format!(
                "example {index}: expected tokens, the prompt among them, found {} tokens and a prompt of {}",
                example.tokens.len(),
                example.prompt_length
            )));
        }
    }
    Ok(())
}

/// A token must mean the same to all variants.
fn check_tokenizers(models: &[(String, Model)]) -> Result<()> {
    let mut known = models.iter().filter_map(|(name, model)| Some((name, model.tokenizer().ok()?)));
    let Some((first_name, first)) = known.next() else { return Ok(()) };
    for (name, tokenizer) in known {
        if !tokenizer.has_tokens_of(first) {
            return Err(Error::request(format!(
                "expected variants with one tokenizer, found that `{first_name}` and `{name}` differ"
            ))
            .hint("a dictionary over several variants needs them to read the same tokens"));
        }
    }
    Ok(())
}

/// The values of each hook at every real token of `examples`, `[tokens, width]`, and their width.
fn vectors(model: &Model, hooks: &[HookPoint], examples: &[Example]) -> Result<Vec<(Vec<f32>, usize)>> {
    let rows: Vec<Vec<u32>> = examples.iter().map(|example| example.tokens.clone()).collect();
    let mut captured = hooks.iter().fold(Hooks::none(), |captured, hook| captured.capture(*hook));
    if let [only] = hooks {
        captured = captured.stop_after(*only);
    }
    model.forward(&TokenBatch::new(&rows)?, None, &mut captured, Gradients::Off)?;
    captured.finish()?;
    let values = |hook: &HookPoint| {
        let value = captured.take(*hook);
        let value = value.ok_or_else(|| Error::work(format!("the capture at `{hook}` never fired")))?;
        let value = value.flatten_from(2)?;
        let (_, columns, d) = value.dims3()?;
        let padded: Vec<f32> = value.flatten_all()?.to_vec1()?;
        let rows = padded.chunks_exact(columns * d).zip(&rows);
        Ok((rows.flat_map(|(row, tokens)| &row[..tokens.len() * d]).copied().collect(), d))
    };
    hooks.iter().map(values).collect()
}

/// `[variants][tokens, d]` to `[tokens, variants, d]`.
fn interleave(values: &[Vec<f32>], d: usize) -> Vec<f32> {
    let tokens = values.first().map_or(0, |first| first.len() / d);
    let rows =
        (0..tokens).flat_map(|token| values.iter().map(move |values| &values[token * d..(token + 1) * d]));
    rows.flatten().copied().collect()
}

/// Names and hashes of what made the values.
fn provenance(
    models: &[(String, Model)],
    examples: &[Example],
    settings: &CaptureSettings,
) -> Result<Vec<(String, String)>> {
    let mut hasher = blake3::Hasher::new();
    for example in examples {
        hasher.update(&(example.tokens.len() as u64).to_le_bytes());
        hasher.update(&(example.prompt_length as u64).to_le_bytes());
        example.tokens.iter().for_each(|token| {
            hasher.update(&token.to_le_bytes());
        });
        hasher.update(format!("{}\n{}\n", example.source, example.problem).as_bytes());
    }
    let mut made: Vec<(String, String)> = vec![
        ("examples".to_owned(), hasher.finalize().to_hex().to_string()),
        ("template".to_owned(), format!("{:?}", settings.template)),
        ("rows".to_owned(), settings.rows.to_string()),
    ];
    for (name, model) in models {
        made.push((format!("weights of {name}"), model.weights_hash()?));
        // The same weights compute something else under another configuration, or in another number format.
        let config = format!("{:?}", model.config());
        made.push((format!("configuration of {name}"), blake3::hash(config.as_bytes()).to_hex().to_string()));
        made.push((format!("kernels of {name}"), model.compute().to_string()));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, LlamaShape};
    use candle_core::Device;

    fn models() -> Vec<(String, Model)> {
        let shape = LlamaShape {
            vocabulary: 20,
            d_model: 8,
            layers: 2,
            heads: 2,
            d_mlp: 16,
            max_positions: 32,
            bos: None,
            eos: None,
            pad: None,
        };
        let config = Config::llama(&shape).unwrap();
        let model = |seed| Model::initialise(&config, seed, &Device::Cpu).unwrap();
        vec![("base".to_owned(), model(1)), ("rl".to_owned(), model(2))]
    }

    fn examples() -> Vec<Example> {
        (0..30u32)
            .map(|index| Example {
                tokens: (0..4 + index % 5).map(|token| (token * 7 + index) % 20).collect(),
                prompt_length: 2,
                source: "base".to_owned(),
                problem: format!("problem {index}"),
            })
            .collect()
    }

    #[test]
    fn a_capture_that_was_cut_off_goes_on_to_the_same_values() {
        let folder = tempfile::tempdir().unwrap();
        let (models, examples) = (models(), examples());
        let hook = HookPoint::resid_post(0);
        let settings = CaptureSettings { rows: 4, template: vec![3], ..CaptureSettings::default() };
        let silent = Observer::silent();
        let whole = capture(&models, hook, &examples, &folder.path().join("a"), &settings, &silent).unwrap();
        let tokens = examples.iter().map(|example| example.tokens.len()).sum::<usize>();
        assert_eq!(whole.tokens(), tokens);
        assert_eq!(whole.parts().iter().filter(|part| **part == Part::First).count(), 30);
        whole.verify().unwrap();

        let stopped = Observer::silent();
        stopped.stop_flag().store(15, std::sync::atomic::Ordering::Relaxed);
        let dir = folder.path().join("b");
        assert!(capture(&models, hook, &examples, &dir, &settings, &stopped).is_err());
        let error = ActivationStore::open(&dir).unwrap_err().to_string();
        assert!(error.contains("cut off"), "{error}");
        let again = capture(&models, hook, &examples, &dir, &settings, &silent).unwrap();
        assert_eq!(again.read(0..tokens).unwrap(), whole.read(0..tokens).unwrap());
        assert_eq!(again.examples(), whole.examples());
        assert_eq!(again.tokens_meta(0..tokens).unwrap(), whole.tokens_meta(0..tokens).unwrap());
    }

    #[test]
    fn several_hooks_in_one_pass_are_what_each_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (models, examples) = (models(), examples());
        let (settings, silent) = (CaptureSettings::default(), Observer::silent());
        let places =
            [0, 1].map(|block| (HookPoint::resid_post(block), folder.path().join(format!("{block}"))));
        // One of the stores is there already.
        capture(&models, places[1].0, &examples, &places[1].1, &settings, &silent).unwrap();
        let together = capture_all(&models, &places, &examples, &settings, &silent).unwrap();
        for ((hook, _), store) in places.iter().zip(&together) {
            let dir = folder.path().join(format!("alone {hook}"));
            let alone = capture(&models, *hook, &examples, &dir, &settings, &silent).unwrap();
            assert_eq!(store.hook(), hook.to_string());
            assert_eq!(store.read(0..store.tokens()).unwrap(), alone.read(0..alone.tokens()).unwrap());
        }
    }

    #[test]
    fn values_are_the_models_own() {
        let folder = tempfile::tempdir().unwrap();
        let (models, examples) = (models(), examples());
        let hook = HookPoint::resid_post(1);
        let store = capture(
            &models,
            hook,
            &examples,
            folder.path(),
            &CaptureSettings::default(),
            &Observer::silent(),
        )
        .unwrap();
        let (alone, d) = vectors(&models[1].1, &[hook], &examples[..1]).unwrap().remove(0);
        let stored = store.read(0..examples[0].tokens.len()).unwrap();
        for (token, vector) in alone.chunks(d).enumerate() {
            assert_eq!(&stored[(token * 2 + 1) * d..(token * 2 + 2) * d], vector);
        }
    }
}
