//! `sample`: completions of prompts from a file.

use super::Context;
use super::flags::SeedFlag;
use crate::error::{Error, Result, io};
use crate::model::{Finish, Model, Prompt, SampleSettings, Tokenizer, sample_model};
use crate::rng::stable_hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// The flags of `sample`.
#[derive(clap::Args)]
pub(crate) struct SampleArguments {
    /// A model repository: a folder, or a name on the hub.
    #[arg(long, value_name = "DIR_OR_NAME")]
    model: String,
    /// One JSON object a line, with `prompt` (text), `messages` (role and content) or `input_ids`.
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
    /// Whether prompts begin with the BOS token: as the tokenizer's own rules say, always, or never.
    #[arg(long, value_enum, default_value_t = Bos::Tokenizer)]
    bos: Bos,
    /// At which end rows count as padded in what is written. Padding is never computed: results are equal.
    #[arg(long, value_enum, default_value_t = Padding::Left)]
    padding: Padding,
    /// Where completions go.
    #[arg(long, value_name = "FILE.jsonl")]
    out: PathBuf,
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

#[derive(Deserialize)]
struct Row {
    prompt: Option<String>,
    messages: Option<serde_json::Value>,
    input_ids: Option<Vec<u32>>,
}

#[derive(Serialize)]
struct Written<'a> {
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
    prompts: usize,
    completions: usize,
    stopped: usize,
    tokens: usize,
}

pub(crate) fn sample(arguments: SampleArguments, context: &Context) -> Result<()> {
    let folder = crate::model::hub::find(&arguments.model)?;
    let model = Model::load(&folder, &context.device()?)?;
    let text =
        std::fs::read_to_string(&arguments.prompts).map_err(|error| io("read", &arguments.prompts, error))?;
    let mut prompts = Vec::new();
    let mut repeats: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let place = || format!("{}: line {}", arguments.prompts.display(), line + 1);
        let row: Row = serde_json::from_str(text)
            .map_err(|error| Error::request(format!("expected a JSON object: {error}")).at(place()))?;
        let tokens = tokens(&model, row, arguments.bos).map_err(|error| error.at(place()))?;
        // A prompt's stream is named by its tokens, so that adding a line to the file moves no other.
        let repeat = repeats.entry(tokens.clone()).or_default();
        prompts.push(Prompt { key: stable_hash(&format!("{repeat} {tokens:?}")), tokens });
        *repeat += 1;
    }
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
    let completions = sample_model(&model, &prompts, &settings, &context.observer)?;
    let mut out = Vec::new();
    for completion in &completions {
        let stopped = completion.finish == Finish::Stop;
        let end = completion.tokens.len() - usize::from(stopped);
        let row = Written {
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
            bos: arguments.bos,
            padding: arguments.padding,
        };
        serde_json::to_writer(&mut out, &row)
            .map_err(|error| Error::work(format!("a completion cannot be written as JSON: {error}")))?;
        out.push(b'\n');
    }
    std::fs::File::create(&arguments.out)
        .and_then(|mut file| file.write_all(&out))
        .map_err(|error| io("write", &arguments.out, error))?;
    let answer = Answer {
        prompts: prompts.len(),
        completions: completions.len(),
        stopped: completions.iter().filter(|one| one.finish == Finish::Stop).count(),
        tokens: completions.iter().map(|one| one.tokens.len()).sum(),
    };
    context.printer.answer(&answer, || {
        format!(
            "{} completions of {} prompts, {} stopped by themselves, {} tokens: {}",
            answer.completions,
            answer.prompts,
            answer.stopped,
            answer.tokens,
            arguments.out.display()
        )
    })
}

fn tokens(model: &Model, row: Row, bos: Bos) -> Result<Vec<u32>> {
    let with_bos = |tokenizer: &Tokenizer, mut tokens: Vec<u32>| -> Result<Vec<u32>> {
        if bos == Bos::Always {
            let id = tokenizer.bos().ok_or_else(|| {
                Error::request("--bos always: the tokenizer has no BOS token").hint("use --bos tokenizer")
            })?;
            if tokens.first() != Some(&id) {
                tokens.insert(0, id);
            }
        }
        Ok(tokens)
    };
    let tokens = match (row.prompt, row.messages, row.input_ids) {
        (Some(prompt), None, None) => {
            let tokenizer = model.tokenizer()?;
            let tokens = match bos {
                Bos::Tokenizer => tokenizer.encode_with_specials(&prompt)?,
                Bos::Always | Bos::Never => tokenizer.encode(&prompt)?,
            };
            with_bos(tokenizer, tokens)?
        }
        (None, Some(messages), None) => {
            let tokenizer = model.tokenizer()?;
            let text = tokenizer.render_chat(&messages, true)?;
            with_bos(tokenizer, tokenizer.encode(&text)?)?
        }
        (None, None, Some(tokens)) => tokens,
        _ => {
            return Err(Error::request("expected one of `prompt`, `messages` or `input_ids`"));
        }
    };
    if tokens.is_empty() { Err(Error::request("the prompt has no tokens")) } else { Ok(tokens) }
}
