//! Three hypotheses with 59 controls each: seconds, and conditioned tokens per second.
//!
//! `cargo bench --bench experiments [-- NAME=FOLDER …]`: model repositories to use as variants, the first
//! being the one before post-training. Without them, four untrained models of the quickstart's size.

use candle_core::Device;
use deltascope::activations::{CaptureSettings, Example, capture};
use deltascope::dictionaries::{FitSettings, fit};
use deltascope::evaluation::{EvaluationSettings, evaluate};
use deltascope::experiments::{
    Axis, ExperimentInputs, ExperimentSettings, Hypothesis, SetRule, neutral_texts, run,
};
use deltascope::interventions::{Edit, Positions};
use deltascope::model::{Config, HookPoint, LlamaShape, Model, Tokenizer};
use deltascope::progress::Observer;
use deltascope::tasks::{Suite, vocabulary};
use deltascope::{Error, Result};
use std::path::Path;
use std::time::Instant;

fn untrained(seed: u64) -> Result<Model> {
    let words = vocabulary::words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let tokenizer = Tokenizer::word_level(&words, vocabulary::BOS, vocabulary::EOS, vocabulary::PAD)?;
    let shape = LlamaShape {
        vocabulary: words.len(),
        d_model: 128,
        layers: 4,
        heads: 4,
        d_mlp: 344,
        max_positions: 128,
        bos: tokenizer.bos(),
        eos: tokenizer.eos(),
        pad: tokenizer.pad(),
    };
    Ok(Model::initialise(&Config::llama(&shape)?, seed, &Device::Cpu)?.with_tokenizer(tokenizer))
}

fn models() -> Result<Vec<(String, Model)>> {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument.contains('=')).collect();
    if given.is_empty() {
        let names = ["base", "rl", "sft", "sft_benign"];
        return names
            .iter()
            .zip(1..)
            .map(|(name, seed)| Ok(((*name).to_owned(), untrained(seed)?)))
            .collect();
    }
    let split =
        |text: &String| text.split_once('=').map(|(name, folder)| (name.to_owned(), folder.to_owned()));
    given
        .iter()
        .map(|text| {
            let (name, folder) = split(text).ok_or_else(|| Error::request("expected NAME=FOLDER"))?;
            Ok((name, Model::load(Path::new(&folder), &Device::Cpu)?))
        })
        .collect()
}

fn main() -> Result<()> {
    let observer = Observer::silent();
    let (seed, hook) = (7, HookPoint::resid_post(3));
    let models = models()?;
    let names: Vec<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
    let (base, receiver, last) = (names[0], names[1 % names.len()], names[names.len() - 1]);
    let suites: Vec<(Axis, Suite)> = [
        (Axis::Transfer, "general_points:faces=11-13"),
        (Axis::Transfer, "countdown"),
        (Axis::Transfer, "arithmetic_chain"),
        (Axis::Safety, "refusal"),
        (Axis::Collateral, "skills"),
        (Axis::Collateral, "allowed_requests"),
    ]
    .into_iter()
    .map(|(axis, name)| Ok((axis, Suite::parse(name)?)))
    .collect::<Result<_>>()?;

    let start = Instant::now();
    let mut examples = Vec::new();
    let sampling = EvaluationSettings { samples: 1, problems: Some(100), ..EvaluationSettings::default() };
    let plain: Vec<Suite> = suites.iter().map(|(_, suite)| suite.clone()).collect();
    for (name, model) in &models {
        for outcome in evaluate(model, &plain, &sampling, seed, &observer)? {
            let prompt = model.tokenizer()?.encode(&outcome.prompt)?;
            let response = model.tokenizer()?.encode(&outcome.completion)?;
            let prompt_length = prompt.len();
            let tokens = prompt.into_iter().chain(response).collect();
            examples.push(Example { tokens, prompt_length, source: name.clone(), problem: outcome.problem });
        }
    }
    deltascope::rng::Stream::new(seed, "shuffle", &[]).shuffle(&mut examples);
    let folder = std::env::temp_dir().join(format!("deltascope-bench-{}", std::process::id()));
    let store = capture(&models, hook, &examples, &folder, &CaptureSettings::default(), &observer)?;
    let settings = FitSettings { steps: 400, features: 1024, ..FitSettings::default() };
    let dictionary = fit(&store, &settings, seed, None, &observer)?;
    std::fs::remove_dir_all(&folder).ok();
    println!(
        "{} tokens captured and a dictionary fitted in {:.1} s",
        store.tokens(),
        start.elapsed().as_secs_f64()
    );

    let inputs = ExperimentInputs {
        models: models.clone(),
        dictionary: Some(dictionary),
        hook,
        classes: Vec::new(),
        suites,
        base: base.to_owned(),
        neutral: neutral_texts(&models[0].1, seed, 64, None)?,
    };
    let hypothesis = |name: &str, axis, receiver: &str, edit, suite: &str| Hypothesis {
        name: name.to_owned(),
        set: SetRule::Carriers(axis),
        receiver: receiver.to_owned(),
        edit,
        dose: 1.0,
        positions: Positions::All,
        readout: None,
        hook: None,
        suite: suite.to_owned(),
        endpoint: None,
        direction: None,
    };
    let hypotheses = [
        hypothesis("transfer zeroed", Axis::Transfer, receiver, Edit::Zero, "general_points:faces=11-13"),
        hypothesis("safety restored", Axis::Safety, last, Edit::Transplant(base.to_owned()), "refusal"),
        hypothesis(
            "transfer added",
            Axis::Transfer,
            base,
            Edit::Transplant(receiver.to_owned()),
            "countdown",
        ),
    ];
    let start = Instant::now();
    let tables = run(&inputs, &hypotheses, &ExperimentSettings::default(), seed, &observer)?;
    let seconds = start.elapsed().as_secs_f64();
    let tokens: usize = tables.timings.iter().map(|row| row.tokens).sum();
    println!(
        "{} hypotheses: {seconds:.1} s, {tokens} conditioned tokens, {:.0} tokens/s",
        hypotheses.len(),
        tokens as f64 / seconds
    );
    for row in tables.effects.iter().filter(|row| row.declared || row.kind == "ceiling") {
        println!(
            "{:<40} {:<27} {:<17} baseline {:.3} effect {:+.3} [{:+.3}, {:+.3}] p_zero {:.4} p_controls {:?} of {} size {:?} norm {:.3}",
            row.condition,
            row.suite,
            row.endpoint,
            row.baseline,
            row.effect,
            row.ci_low,
            row.ci_high,
            row.p_zero,
            row.p_controls,
            row.controls,
            row.set_size,
            row.delta_norm.unwrap_or(f64::NAN)
        );
    }
    Ok(())
}
