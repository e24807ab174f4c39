//! Stage `capture`: the activations of all variants of the dictionary, on the same tokens.
//!
//! Every variant of the dictionary answers training problems of every suite (nothing that is held out is
//! ever seen), so that the tokens hold what each of them writes. Variants and suites have equal shares of
//! the tokens. The examples are shuffled, so that any run of them is a fair sample.

use super::models::{self, ModelSource};
use crate::activations::{self, CaptureSettings, ElementType, Example};
use crate::error::{Error, Result};
use crate::model::{HookPoint, Model, Prompt, SampleSettings, sample_model};
use crate::progress::Observer;
use crate::rng::Stream;
use crate::store::Outside;
use crate::study::config::Study;
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tasks::{Suite, training_problems};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "capture";

/// Prompts per round of sampling.
const ROUND: usize = 256;

/// The mark that closes a prompt of the microcosm.
const PROMPT_END: &str = ":";

pub(super) struct Capture {
    seed: u64,
    hook: HookPoint,
    tokens: usize,
    element: ElementType,
    max_new_tokens: usize,
    suites: Vec<Suite>,
    models: Vec<ModelSource>,
}

/// The activation store in the artifact's folder.
pub(super) fn store(artifact: &Path) -> PathBuf {
    artifact.join("activations")
}

impl Capture {
    /// `None` without a dictionary to capture for.
    pub(super) fn new(study: &Study) -> Result<Option<Self>> {
        let (Some(capture), Some(dictionary)) = (&study.capture, &study.dictionary) else { return Ok(None) };
        let models = dictionary.over.iter().map(|reference| ModelSource::new(study, reference));
        Ok(Some(Self {
            seed: study.seed,
            hook: capture.hook()?,
            tokens: capture.tokens,
            element: capture.element,
            max_new_tokens: study.evaluation.max_new_tokens,
            suites: study.suites.all(),
            models: models.collect::<Result<_>>()?,
        }))
    }

    /// What `model` writes on training problems of `suite`, at least `tokens` tokens of it.
    fn write(&self, (name, model): &(String, Model), suite: &Suite, tokens: usize) -> Result<Vec<Example>> {
        let tokenizer = model.tokenizer()?;
        let settings = SampleSettings {
            samples: 1,
            max_new_tokens: self.max_new_tokens,
            temperature: 1.0,
            top_p: 1.0,
            seed: self.seed,
            stop: tokenizer.stop_tokens().to_vec(),
            batch_rows: ROUND,
        };
        let (mut examples, mut written) = (Vec::new(), 0);
        for round in 0.. {
            let problems = training_problems(suite, self.seed, round * ROUND as u64, ROUND);
            let prompts = problems
                .iter()
                .map(|problem| Ok(Prompt { tokens: problem.tokens(tokenizer)?, key: problem.key }))
                .collect::<Result<Vec<_>>>()?;
            for completion in sample_model(model, &prompts, &settings, &Observer::silent())? {
                let asked = prompts.get(completion.prompt).zip(problems.get(completion.prompt));
                let (prompt, problem) =
                    asked.ok_or_else(|| Error::work("the sampler answered a prompt that was not asked"))?;
                let example = Example {
                    tokens: prompt.tokens.iter().chain(&completion.tokens).copied().collect(),
                    prompt_length: prompt.tokens.len(),
                    source: name.clone(),
                    problem: problem.id.clone(),
                };
                written += example.tokens.len();
                examples.push(example);
                if written >= tokens {
                    return Ok(examples);
                }
            }
        }
        Ok(examples)
    }
}

impl Stage for Capture {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({
            "seed": self.seed,
            "hook": self.hook.to_string(),
            "tokens": self.tokens,
            "element": json(&self.element)?,
            "max_new_tokens": self.max_new_tokens,
            "suites": self.suites.iter().map(Suite::name).collect::<Vec<_>>(),
            "models": models::names(&self.models),
        }))
    }

    fn inputs(&self) -> Vec<String> {
        models::inputs(&self.models)
    }

    fn outside(&self) -> Result<Outside> {
        models::outside(&self.models, &self.suites)
    }

    fn estimate(&self) -> Estimate {
        let vectors = (self.tokens * self.models.len()) as f64;
        // The quickstart's width; a given model's is known only when it is read.
        let disk_bytes = vectors * 128.0 * self.element.size() as f64;
        Estimate { seconds: 1.5e-5 * vectors + 5.0, memory_bytes: 0.8e9, disk_bytes }
    }

    fn resumes(&self) -> bool {
        true
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let models = models::load(&self.models, &scene.made)?;
        let share = self.tokens.div_ceil(models.len().max(1) * self.suites.len().max(1));
        let mut bar =
            scene.observer.bar("capture: writing", (models.len() * self.suites.len()) as u64, "suites");
        let mut examples = Vec::new();
        for model in &models {
            for suite in &self.suites {
                scene.observer.check()?;
                examples.extend(self.write(model, suite, share)?);
                bar.advance(1);
            }
        }
        drop(bar);
        Stream::new(self.seed, "study/capture", &[]).shuffle(&mut examples);
        let tokenizer = models.first().map(|(_, model)| model.tokenizer()).transpose()?;
        let template = tokenizer.and_then(|tokenizer| tokenizer.id(PROMPT_END)).into_iter().collect();
        let settings = CaptureSettings { element: self.element, template, ..CaptureSettings::default() };
        let folder = store(&scene.folder);
        activations::capture(&models, self.hook, &examples, &folder, &settings, &scene.observer)?;
        Ok(())
    }
}
