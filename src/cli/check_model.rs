//! `check model`: conformance of a model repository, and agreement with reference tensors.

use super::Context;
use crate::error::{At, Error, Result};
use crate::model::conformance::{self, Finding};
use crate::model::{Config, Model, TokenFile};
use candle_core::{Device, Tensor};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The flags of `check model`.
#[derive(clap::Args)]
pub(crate) struct CheckModelArguments {
    /// A model repository: a folder, or a name on the hub.
    model: String,
    /// Reference tensors: input_ids, attention_mask, hidden.{i}, attn.{l}, logits, loss, grad.{parameter}.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Write what the model computes here, in the layout of --golden.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Round rotary frequencies to bf16, as PyTorch's `model.to(bfloat16)` does.
    #[arg(long)]
    rounded_rotary: bool,
}

#[derive(Serialize)]
struct Answer {
    family: &'static str,
    parameters: usize,
    findings: Vec<Finding>,
    notes: Vec<String>,
}

pub(crate) fn check_model(arguments: CheckModelArguments, context: &Context) -> Result<()> {
    let folder = crate::model::hub::find(&arguments.model)?;
    let mut config = Config::load(&folder)?;
    if arguments.rounded_rotary {
        config = config.with_rounded_rotary_frequencies();
    }
    let model = Model::load_as(config, &folder, &context.device()?)?;
    let tokens = match &arguments.golden {
        Some(file) => TokenFile::load(file)?,
        None => conformance::drawn_tokens(&model)?,
    };
    let mut findings = conformance::check(&model, &tokens)?;
    let mut ours = match arguments.golden.is_some() || arguments.out.is_some() {
        true => conformance::golden_tensors(&model, &tokens)?,
        false => BTreeMap::new(),
    };
    let mut notes = Vec::new();
    if let Some(file) = &arguments.golden {
        let golden: BTreeMap<String, Tensor> =
            candle_core::safetensors::load(file, &Device::Cpu).at(file.display())?.into_iter().collect();
        let mut compared = conformance::compare(&ours, &golden, &tokens)?;
        if compared.iter().any(|finding| !finding.passed) && !arguments.rounded_rotary {
            let config = Config::load(&folder)?.with_rounded_rotary_frequencies();
            let rounded = Model::load_as(config, &folder, &context.device()?)?;
            let tensors = conformance::golden_tensors(&rounded, &tokens)?;
            let again = conformance::compare(&tensors, &golden, &tokens)?;
            if again.iter().all(|finding| finding.passed) {
                let worst = compared.iter().filter_map(|finding| finding.difference).fold(0f32, f32::max);
                notes.push(format!(
                    "the reference was computed with rotary frequencies rounded to bf16 (a model cast with \
                     `.to(bfloat16)`); compared with the same rounding. With exact frequencies, as \
                     `from_pretrained` has them and every other verb uses, the largest difference is {worst:.1e}"
                ));
                (compared, ours) = (again, tensors);
            }
        }
        findings.extend(compared);
    }
    if let Some(path) = &arguments.out {
        ours.insert("input_ids".to_owned(), tokens.ids()?);
        ours.insert("attention_mask".to_owned(), tokens.mask()?);
        crate::model::save_tensors(path, &ours.into_iter().collect::<Vec<_>>())?;
    }
    let answer = Answer {
        family: model.config().family.model_type(),
        parameters: model.parameters().elements(),
        findings,
        notes,
    };
    context.printer.answer(&answer, || text(&answer))?;
    let wrong = answer.findings.iter().filter(|finding| !finding.passed).count();
    match wrong {
        0 => Ok(()),
        _ => Err(Error::work(format!("{wrong} of {} checks failed", answer.findings.len()))),
    }
}

fn text(answer: &Answer) -> String {
    let mut text = format!("{}, {} parameters\n", answer.family, answer.parameters);
    for finding in &answer.findings {
        let mark = if finding.passed { "ok    " } else { "FAILED" };
        text += &match (finding.difference, finding.tolerance) {
            (Some(found), Some(allowed)) => {
                format!("{mark} {}: {found:.1e} (allowed {allowed:.0e})\n", finding.check)
            }
            _ => format!("{mark} {}\n", finding.check),
        };
    }
    answer.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
    text
}
