//! Preferences without an annotator: a model's own responses, judged by a verifier.

use super::dpo::Sampled;
use super::examples::Example;
use super::rl::rollout::{Group, Overlong, Response, Sampling, roll_out};
use super::rows::TrainingRow;
use super::settings::DpoSettings;
use crate::error::{Error, Result};
use crate::model::{Model, Tokenizer};
use crate::tasks::{Dataset, Document, Lesson, Pair, Suite};
use std::time::Instant;

/// Rows that are sampled together.
const BATCH_ROWS: usize = 256;

/// Samples responses to training problems of `suite` and pairs, problem by problem, verified with failed
/// ones. Responses that were cut off are left out: they have no end to learn. Returns the pairs and how it went.
///
/// # Errors
/// If a setting is wrong, sampling fails, or no problem has both kinds.
pub fn own_pairs(
    model: &Model,
    suite: &Suite,
    settings: &DpoSettings,
    seed: u64,
) -> Result<(Dataset<Pair>, Sampled)> {
    settings.check()?;
    let started = Instant::now();
    let sampling = Sampling {
        samples: settings.samples,
        temperature: 1.0,
        max_new_tokens: settings.max_new_tokens,
        batch_rows: BATCH_ROWS,
        overlong: Overlong::NONE,
    };
    let rollout = roll_out(model, suite, &sampling, (settings.prompts, 0), seed, 0)?;
    let tokenizer = model.tokenizer()?;
    let pairs: Vec<Vec<Pair>> =
        rollout.groups.iter().map(|group| of_group(group, tokenizer)).collect::<Result<_>>()?;
    let with_pairs = pairs.iter().filter(|pairs| !pairs.is_empty()).count();
    let pairs = pairs.concat();
    if pairs.is_empty() {
        return Err(Error::work(format!(
            "none of {} problems has both a verified and a failed response that ends; {}",
            settings.prompts,
            rollout.outcome()
        ))
        .hint("raise `prompts`, `samples` or `max_new_tokens`, or give pairs by --data"));
    }
    let row = TrainingRow { groups_trained: Some(with_pairs), ..rollout.describe() };
    Ok((Dataset::new(pairs)?, Sampled { row, seconds: started.elapsed().as_secs_f64() }))
}

fn of_group(group: &Group, tokenizer: &Tokenizer) -> Result<Vec<Pair>> {
    let whole = || group.responses.iter().filter(|response| !response.example.truncated);
    let verified = whole().filter(|response| response.reward >= 1.0);
    let failed = whole().filter(|response| response.reward < 1.0);
    // The tokens as they were sampled: what is decoded and encoded again may be others.
    let document = |response: &Response| -> Result<Document> {
        let Example { tokens, prompt, .. } = &response.example;
        Ok(Document::of_lesson(Lesson::after(*prompt, tokens.clone())?, tokenizer))
    };
    let pair = |(a, b)| -> Result<Pair> { Ok(Pair { chosen: document(a)?, rejected: document(b)? }) };
    verified.zip(failed).map(pair).collect()
}
