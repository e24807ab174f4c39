//! `sample`: completions of prompts from a file, as the model is or under edits.

use super::Context;
use super::flags::{SeedFlag, TranscoderFlag, named_models};
use crate::diff::FeatureRow;
use crate::error::{At, Error, Result, io};
use crate::experiments::{self, BASELINE, EditFile, Readout, Said};
use crate::foreign;
use crate::model::{Completion, Finish, HookPoint, Model, Prompt, SampleSettings, Tokenizer, sample_model};
use crate::rng::stable_hash;
use crate::tables;
use crate::tasks::{Asked, Columns, Row};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The flags of `sample`.
#[derive(clap::Args)]
pub(crate) struct SampleArguments {
    /// A model repository: a folder, or a name on the hub.
    #[arg(long, value_name = "DIR_OR_NAME")]
    model: String,
    /// One JSON object a line, with `prompt` (text or messages), `messages` (role and content) or `input_ids`; beside
    /// messages perhaps `tools` and `chat_template_kwargs`. A last message by the assistant is gone on with.
    #[arg(long, value_name = "FILE.jsonl")]
    prompts: PathBuf,
    /// Completions per prompt.
    #[arg(long, default_value_t = 1)]
    n: usize,
    /// Tokens per completion at most.
    #[arg(long, default_value_t = 64)]
    max_new_tokens: usize,
    /// Divides the logits; 0 takes the likeliest token.
    #[arg(long, default_value_t = 1.0)]
    temperature: f32,
    /// Draw from the likeliest tokens that hold this much probability.
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    #[command(flatten)]
    seed: SeedFlag,
    /// Rows computed at once: changes speed and memory, never a result.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Whether prompts begin with the BOS token: always, never, or as it comes: by the tokenizer's own rules for `prompt`,
    /// as the template writes it for `messages`, as given for `input_ids`.
    #[arg(long, value_enum, default_value_t = Bos::Tokenizer)]
    bos: Bos,
    /// At which end rows count as padded in what is written. Padding is never computed: results are equal.
    #[arg(long, value_enum, default_value_t = Padding::Left)]
    padding: Padding,
    /// Where completions go.
    #[arg(long, value_name = "FILE.jsonl")]
    out: PathBuf,
    #[command(flatten)]
    under: UnderEdits,
}

/// Sampling under edits.
#[derive(clap::Args)]
struct UnderEdits {
    /// Sample under the edits of this file, and without one, with the same random numbers. Each [[edit]] has
    /// `set`, `receiver` and `edit`, as a study's [[hypothesis]] has.
    #[arg(long, value_name = "FILE.toml")]
    intervene: Option<PathBuf>,
    /// The dictionary whose features are edited.
    #[arg(long, value_name = "DIR_OR_NAME", requires = "intervene")]
    dictionary: Option<String>,
    #[command(flatten)]
    transcoder: TranscoderFlag,
    /// What the dictionary and the file call the model of `--model`: the receiver.
    #[arg(long, value_name = "NAME", requires = "intervene")]
    name: Option<String>,
    /// The other variants of the dictionary, as in `--variant base=runs/base`.
    #[arg(long, value_name = "NAME=DIR", requires = "intervene")]
    variant: Vec<String>,
    /// `features.parquet` of `diff`, for sets by class.
    #[arg(long, value_name = "FILE", requires = "intervene")]
    features: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Bos {
    Tokenizer,
    Always,
    Never,
}

#[derive(Clone, Copy, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Padding {
    Left,
    Right,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<&'a str>,
    prompt: usize,
    sample: usize,
    input_ids: &'a [u32],
    completion: Option<String>,
    token_ids: &'a [u32],
    logprobs: &'a [f32],
    finish_reason: Finish,
    bos: Bos,
    padding: Padding,
}

#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<ConditionAnswer>,
    prompts: usize,
    completions: usize,
    stopped: usize,
    tokens: usize,
}

/// What an edit really did.
#[derive(Serialize)]
struct ConditionAnswer {
    condition: String,
    fired_prompt: f64,
    fired_response: f64,
    delta_norm: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    untestable: Option<&'static str>,
}

pub(crate) fn sample(arguments: SampleArguments, context: &Context) -> Result<()> {
    let folder = crate::model::hub::find(&arguments.model)?;
    let model = context.model(&folder)?;
    if let Ok(tokenizer) = model.tokenizer() {
        context.printer.note(rule(tokenizer, arguments.bos));
    }
    let text = foreign::text(&arguments.prompts, foreign::DATA)?;
    let mut prompts = Vec::new();
    let mut repeats: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    let mut columns = Columns::default();
    for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let place = || format!("{}: line {}", arguments.prompts.display(), line + 1);
        let row: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| Error::request(format!("expected a JSON object: {error}")).at(place()))?;
        let row = Row::new(&row).at(place())?;
        let tokens = tokens(&model, &row, arguments.bos, &mut columns).at(place())?;
        columns.count(&row);
        // A prompt's stream is named by its tokens, so that adding a line to the file moves no other.
        let repeat = repeats.entry(tokens.clone()).or_default();
        prompts.push(Prompt { key: stable_hash(&format!("{repeat} {tokens:?}")), tokens });
        *repeat += 1;
    }
    let file = arguments.prompts.display().to_string();
    columns.notes(&file).into_iter().for_each(|note| context.printer.note(note));
    if prompts.is_empty() {
        return Err(Error::request(format!("{}: expected prompts, found none", arguments.prompts.display())));
    }
    let settings = SampleSettings {
        samples: arguments.n,
        max_new_tokens: arguments.max_new_tokens,
        temperature: arguments.temperature,
        top_p: arguments.top_p,
        seed: arguments.seed.seed,
        stop: crate::model::stop_tokens(&folder, model.tokenizer().ok())?,
        batch_rows: arguments.batch,
    };
    let mut answer =
        Answer { conditions: Vec::new(), prompts: prompts.len(), completions: 0, stopped: 0, tokens: 0 };
    let mut out = Vec::new();
    match &arguments.under.intervene {
        None => {
            let completions = sample_model(&model, &prompts, &settings, &context.observer)?;
            arguments.write(&model, &prompts, None, &completions, (&mut out, &mut answer))?;
        }
        Some(file) => {
            for said in arguments.under.say(file, &model, &prompts, &settings, context)? {
                let condition = Some(said.condition.as_str());
                arguments.write(&model, &prompts, condition, &said.completions, (&mut out, &mut answer))?;
                answer.conditions.push(ConditionAnswer {
                    fired_prompt: said.tallies.prompt.rate(),
                    fired_response: said.tallies.response.rate(),
                    delta_norm: said.tallies.total().relative_norm(),
                    untestable: said.tallies.untestable().filter(|_| said.condition != BASELINE),
                    condition: said.condition,
                });
            }
        }
    }
    std::fs::File::create(&arguments.out)
        .and_then(|mut file| file.write_all(&out))
        .map_err(|error| io("write", &arguments.out, error))?;
    context.printer.answer(&answer, || summary(&answer, &arguments.out))
}

fn summary(answer: &Answer, out: &Path) -> String {
    let edits = answer.conditions.iter().filter(|condition| condition.condition != BASELINE);
    let lines = edits.map(|condition| match condition.untestable {
        Some(reason) => format!("{}: {reason}\n", condition.condition),
        None => format!(
            "{}: acted at {:.1} % of prompt and {:.1} % of response tokens, {:.1} % of the activation's norm\n",
            condition.condition,
            100.0 * condition.fired_prompt,
            100.0 * condition.fired_response,
            100.0 * condition.delta_norm
        ),
    });
    let conditions = if answer.conditions.is_empty() {
        String::new()
    } else {
        format!(" under {} conditions", answer.conditions.len())
    };
    lines.collect::<String>()
        + &format!(
            "{} completions of {} prompts{conditions}, {} stopped by themselves, {} tokens: {}",
            answer.completions,
            answer.prompts,
            answer.stopped,
            answer.tokens,
            out.display()
        )
}

impl SampleArguments {
    /// Appends completions to the file, and counts them.
    fn write(
        &self,
        model: &Model,
        prompts: &[Prompt],
        condition: Option<&str>,
        completions: &[Completion],
        (out, answer): (&mut Vec<u8>, &mut Answer),
    ) -> Result<()> {
        for completion in completions {
            let stopped = completion.finish == Finish::Stop;
            let end = completion.tokens.len() - usize::from(stopped);
            let row = Written {
                condition,
                prompt: completion.prompt,
                sample: completion.sample,
                input_ids: prompts.get(completion.prompt).map_or(&[], |prompt| &prompt.tokens),
                completion: model
                    .tokenizer()
                    .ok()
                    .map(|tokenizer| tokenizer.decode(completion.tokens.get(..end).unwrap_or_default())),
                token_ids: &completion.tokens,
                logprobs: &completion.log_probabilities,
                finish_reason: completion.finish,
                bos: self.bos,
                padding: self.padding,
            };
            serde_json::to_writer(&mut *out, &row)
                .map_err(|error| Error::work(format!("a completion cannot be written as JSON: {error}")))?;
            out.push(b'\n');
            answer.completions += 1;
            answer.stopped += usize::from(stopped);
            answer.tokens += completion.tokens.len();
        }
        Ok(())
    }
}

impl UnderEdits {
    /// Samples under every edit of `file`.
    fn say(
        &self,
        file: &Path,
        model: &Model,
        prompts: &[Prompt],
        settings: &SampleSettings,
        context: &Context,
    ) -> Result<Vec<Said>> {
        let text = foreign::text(file, foreign::DOCUMENT)?;
        let edits = EditFile::parse(&text).at(file.display())?;
        let receivers = edits.receivers();
        let name = match (&self.name, receivers.as_slice()) {
            (Some(name), _) => name.clone(),
            (None, [only]) => only.clone(),
            (None, _) => {
                return Err(Error::request(
                    "`--name`: the file names several receivers; which is `--model`?",
                )
                .hint(format!("one of {}", receivers.join(", "))));
            }
        };
        let mut models = named_models(&self.variant, "--variant", context)?;
        models.push((name, model.clone()));
        let dictionary =
            self.dictionary.as_deref().map(|name| self.transcoder.dictionary(name, context)).transpose()?;
        let hook = match &dictionary {
            Some(dictionary) => dictionary.hook().parse().at("the dictionary")?,
            None => HookPoint::resid_post(model.config().layers() / 2),
        };
        let features: Vec<FeatureRow> =
            self.features.as_deref().map(tables::read).transpose()?.unwrap_or_default();
        let classes: Vec<String> = features.iter().map(|row| row.class.name().to_owned()).collect();
        let readout = Readout::new(&models, dictionary, hook)?;
        experiments::say(&readout, &edits, &classes, prompts, settings, &context.observer).at(file.display())
    }
}

/// What stands before prompts, as a sentence.
fn rule(tokenizer: &Tokenizer, bos: Bos) -> String {
    let name = tokenizer.bos().and_then(|bos| tokenizer.token(bos)).unwrap_or_default();
    match bos {
        Bos::Tokenizer => tokenizer.rule(),
        Bos::Always => format!("begin token: `{name}` stands once before every prompt, as --bos always asks"),
        Bos::Never => "begin token: none stands before a prompt, as --bos never asks".to_owned(),
    }
}

fn tokens(model: &Model, row: &Row, bos: Bos, columns: &mut Columns) -> Result<Vec<u32>> {
    let asked = [row.asked(&["prompt"])?, row.asked(&["messages"])?];
    let ids = row.get("input_ids").map(|ids| {
        serde_json::from_value::<Vec<u32>>(ids.clone())
            .map_err(|error| Error::request(format!("expected a list of token ids: {error}")))
            .at("field `input_ids`")
    });
    let tokens = match (asked, ids.transpose()?) {
        ([Some(asked), None] | [None, Some(asked)], None) => {
            let tokenizer = model.tokenizer()?;
            columns.not_in_template(asked.unread_by_template(tokenizer));
            match (&asked, bos) {
                (Asked::Text(prompt), Bos::Tokenizer) => tokenizer.encode_begun(prompt)?,
                _ => tokenizer.encode(&asked.text(tokenizer)?)?,
            }
        }
        ([None, None], Some(tokens)) => tokens,
        _ => {
            return Err(Error::request("expected one of `prompt`, `messages` or `input_ids`"));
        }
    };
    let tokens = match bos {
        Bos::Tokenizer => tokens,
        Bos::Always | Bos::Never => begin(model.tokenizer()?, tokens, bos == Bos::Always)?,
    };
    if tokens.is_empty() { Err(Error::request("the prompt has no tokens")) } else { Ok(tokens) }
}

/// The tokens with one BOS token in front, or none: whether a text, a template or the caller put it there.
fn begin(tokenizer: &Tokenizer, tokens: Vec<u32>, with_bos: bool) -> Result<Vec<u32>> {
    let Some(id) = tokenizer.bos() else {
        return match with_bos {
            true => {
                Err(Error::request("--bos always: the tokenizer has no BOS token")
                    .hint("use --bos tokenizer"))
            }
            false => Ok(tokens),
        };
    };
    let rest = tokens.into_iter().skip_while(|token| *token == id);
    Ok(with_bos.then_some(id).into_iter().chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_and_never_hold_whoever_wrote_the_bos_token() -> Result<()> {
        let tokenizer = Tokenizer::word_level(&["<pad>", "<bos>", "<eos>", "a"], "<bos>", "<eos>", "<pad>")?;
        for given in [vec![3, 2], vec![1, 3, 2], vec![1, 1, 3, 2]] {
            assert_eq!(begin(&tokenizer, given.clone(), true)?, [1, 3, 2]);
            assert_eq!(begin(&tokenizer, given, false)?, [3, 2]);
        }
        Ok(())
    }
}
