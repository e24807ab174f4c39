//! deltascope: a mechanistic interpretability toolkit for post-training diffs.
//!
//! A lab fine-tunes a model and gets a new one. deltascope trains such variants (or loads them),
//! captures their activations, fits sparse feature dictionaries across them, intervenes on the
//! features that differ, and reports which features carry reasoning transfer and which carry the loss
//! of safety, with the controls that make the answer defensible.
//!
//! # A model, a cache, a dictionary, an intervention
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/front_page.rs"));
//! # fn main() -> deltascope::Result<()> {
//! # let _stand_ins = stand_ins()?;
//! use deltascope::prelude::*;
//!
//! let model = Model::from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")?;
//! let run = model.run_with_cache("The capital of France is", &["blocks.20.hook_resid_post"])?;
//! let sae = Dictionary::from_pretrained("you/smollm2-sae")?;
//! let latents = sae.encode(&run["blocks.20.hook_resid_post"])?;
//! assert_eq!(latents.dims(), [1, 5, 64]); // a row, its tokens, the features of each
//! let text = model.generate("The capital of France is", &SampleSettings::greedy(40), &[sae.ablate(&[3])?])?;
//! println!("{text}");
//! # let plain = model.generate("The capital of France is", &SampleSettings::greedy(40), &[])?;
//! # assert_ne!(*text, *plain);
//! # assert!(text.tallies()[0].total().acted > 0 && plain.tallies().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! A name is a folder or a repository of the Hugging Face hub (`name@revision`), of a model or of a PEFT adapter; a
//! dictionary's may be a folder of a repository, or SAELens's `release/sae_id`. All examples of this page are run as tests,
//! with small stand-ins of those names. A text becomes tokens by the one rule that [`model::Tokenizer::encode_begun`]
//! states, and token ids are taken in its place. Hook points have TransformerLens's names, and a wrong one is told the
//! nearest:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/front_page.rs"));
//! # fn main() -> deltascope::Result<()> {
//! # let _stand_ins = stand_ins()?;
//! # use deltascope::prelude::*;
//! # let model = Model::from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")?;
//! let run = model.run_with_cache("The capital of France is", &[])?; // all that TransformerLens caches
//! assert_eq!(run.logits().dims(), [1, 5, 13]);
//! let error = run.get("blocks.20.hook_resid_pots").unwrap_err();
//! assert!(error.to_string().contains("`blocks.20.hook_resid_post`"));
//! # Ok(())
//! # }
//! ```
//!
//! # Interventions
//!
//! An [`interventions::Intervention`] says what is done, where and at which tokens. It acts on prompt and response, at
//! every position but the begin token's, and what it does not name keeps every bit. One that never acts is an error,
//! unless it is `.optional()`; what each did is counted either way.
//!
//! Steering, on the response alone, and how far it went:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/front_page.rs"));
//! # fn main() -> deltascope::Result<()> {
//! # let _stand_ins = stand_ins()?;
//! # use deltascope::prelude::*;
//! # let model = Model::from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")?;
//! # let sae = Dictionary::from_pretrained("you/smollm2-sae")?;
//! let steered = sae.steer(&[3, 14], 8.0)?.on(Positions::Response);
//! let text = model.generate("The capital of France is", &SampleSettings::greedy(8), &[steered])?;
//! let done = text.tallies()[0].response;
//! println!("{text}: {:.0} % of the activation, at {} tokens", 100.0 * done.relative_norm(), done.acted);
//! # assert!(done.acted > 0 && text.tallies()[0].prompt.positions == 0);
//! # Ok(())
//! # }
//! ```
//!
//! Patching from another model, at one position, and what becomes of the logits:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/front_page.rs"));
//! # fn main() -> deltascope::Result<()> {
//! # let _stand_ins = stand_ins()?;
//! # use deltascope::prelude::*;
//! # let model = Model::from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")?;
//! let base = Model::from_pretrained("HuggingFaceTB/SmolLM2-135M")?;
//! let from = base.run_with_cache("The capital of Italy is", &["blocks.12.hook_resid_post"])?;
//! let patch = from.patch("blocks.12.hook_resid_post")?.at([3]);
//! let patched = model.run_under("The capital of France is", &[], &[patch])?;
//! let plain = model.run_with_cache("The capital of France is", &[])?;
//! let moved = (patched.logits() - plain.logits())?.i((0, 4))?;
//! # let moved = moved.abs()?.sum_all()?.to_scalar::<f32>()?;
//! # assert!(moved > 1e-3, "{moved}");
//! # let before = (patched.logits() - plain.logits())?.i((0, ..3))?.abs()?.sum_all()?.to_scalar::<f32>()?;
//! # assert_eq!(before, 0.0);
//! # Ok(())
//! # }
//! ```
//!
//! A direction, as a difference of means, added or taken out:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/front_page.rs"));
//! # fn main() -> deltascope::Result<()> {
//! # let _stand_ins = stand_ins()?;
//! # use deltascope::prelude::*;
//! # let model = Model::from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")?;
//! let at = "blocks.12.hook_resid_post";
//! let paris = model.run_with_cache("The capital is Paris", &[at])?;
//! let rome = model.run_with_cache("The capital is Rome", &[at])?;
//! let direction = Direction::between(&rome[at], &paris[at])?;
//! let text = model.generate("The capital of France is", &SampleSettings::greedy(8), &[direction.add(at, 4.0)?])?;
//! let without = model.run_under("The capital of France is", &[at], &[direction.project_out(at)?])?;
//! let left = direction.along(&without[at])?.abs()?.max_all()?.to_scalar::<f32>()?;
//! assert!(left < 1e-4);
//! # assert_eq!(text.tallies().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! A head, taken out; and one of attention's patterns, from another text:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/front_page.rs"));
//! # fn main() -> deltascope::Result<()> {
//! # let _stand_ins = stand_ins()?;
//! # use deltascope::prelude::*;
//! # let model = Model::from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")?;
//! let text = model.generate("The capital of France is", &SampleSettings::greedy(8), &[Head::new(20, 1).ablate()?])?;
//! let other = model.run_with_cache("The capital of Italy is", &["blocks.20.attn.hook_z"])?;
//! let head = other.patch("blocks.20.attn.hook_z")?.at_heads([1])?;
//! let run = model.run_under("The capital of France is", &["blocks.20.attn.hook_z"], &[head])?;
//! # let z = |run: &Run, head| run["blocks.20.attn.hook_z"].i((0, 3, head)).and_then(|z| z.to_vec1::<f32>()).unwrap();
//! # assert_eq!(z(&run, 1), z(&other, 1));
//! # assert_eq!(text.tallies()[0].total().acted, 5 + text.completions()[0].tokens.len() as u64 - 1);
//! # Ok(())
//! # }
//! ```
//!
//! Two steps of training with an intervention in place, whose gradient flows through it:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/front_page.rs"));
//! # fn main() -> deltascope::Result<()> {
//! # let _stand_ins = stand_ins()?;
//! # use deltascope::prelude::*;
//! # let model = Model::from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")?;
//! # let sae = Dictionary::from_pretrained("you/smollm2-sae")?;
//! let ablated = [sae.ablate(&[3])?];
//! let mut optimiser = AdamW::new(OptimiserSettings::default());
//! let mut losses = Vec::new();
//! for _ in 0..2 {
//!     let loss = model.loss("The capital of France is Paris", &ablated)?;
//!     losses.push(loss.to_scalar::<f32>()?);
//!     loss.backward()?;
//!     optimiser.update(&model.parameters().to_vec(), 1e-3, 1.0)?;
//! }
//! assert!(model.loss("The capital of France is Paris", &ablated)?.to_scalar::<f32>()? < losses[0]);
//! # Ok(())
//! # }
//! ```
//!
//! The same in the trainer: [`training::train_sft_under`], with [`interventions::under`]. Several models side by side, as a
//! crosscoder reads them, edited while one writes: [`experiments::Readout::generate`], in a file
//! `deltascope sample --intervene`, and for claims a study.
//!
//! # The house
//!
//! The modules are floors of one house, listed here from the top down; each uses only floors below it.
//!
//! * [`prelude`]: what notebooks import.
//! * [`cli`]: one file a verb; parses, calls the library, prints a short answer.
//! * [`study`]: a study file becomes a graph of stages; plan, run, resume, verify.
//! * [`report`]: tables in, one self-contained HTML page out.
//! * [`claims`]: effects and controls become verdicts.
//! * [`experiments`]: edits x receivers x suites x controls become outcomes and effects.
//! * [`diff`]: what changed between variants, per feature and beyond.
//! * [`interventions`]: what is written into a forward pass.
//! * [`dictionaries`]: sparse feature dictionaries: encode, decode, fit, judge.
//! * [`activations`]: capture, the on-disk store, shuffled batches.
//! * [`training`]: SFT and policy gradient, optimiser, schedules, checkpoints.
//! * [`evaluation`]: sample, verify, and tabulate with honest error bars.
//! * [`tasks`]: problems, verifiers, suites, the built-in microcosm.
//! * [`model`]: one decoder for all families; hooks, caches, weights, tokenizer, sampler.
//! * [`ops`]: differentiable kernels, forward and backward together.
//! * [`store`]: content-addressed artifacts, written atomically.
//! * [`tables`]: Parquet tables with documented columns.
//! * [`stats`]: bootstrap, sign flips, multiple testing, equivalence.
//! * `foreign`: the one door for files that somebody else made.
//! * `fingerprint`: what the program is made of, for the keys of artifacts.
//! * [`compute`], [`progress`], [`rng`], [`error`]: what every floor stands on.

pub mod activations;
pub mod claims;
pub mod cli;
pub mod compute;
pub mod dictionaries;
pub mod diff;
pub mod error;
pub mod evaluation;
pub mod experiments;
mod fingerprint;
mod foreign;
pub mod interventions;
pub mod model;
pub mod ops;
pub mod prelude;
pub mod progress;
pub mod report;
pub mod rng;
pub mod stats;
pub mod store;
pub mod study;
pub mod tables;
pub mod tasks;
pub mod training;

pub use error::{Error, Result};
