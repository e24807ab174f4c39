//! The cells of `ablation.ipynb`, so that every change type-checks them: `// %%` begins a cell, and the text
//! of a `[markdown]` cell stands in comments. `python notebooks/run.py` makes the notebook from this file.

fn main() -> deltascope::Result<()> {
    // %% [markdown]
    // # Which features make a model say what it says?
    //
    // The quickstart post-trained a small model in several ways and fitted one sparse dictionary (a crosscoder)
    // over base and variants together. This notebook opens its finished run, shows what was found, and then
    // goes on by hand: it captures the activations of all variants on one prompt, lists the features that fire
    // there, edits them, and reads what the model says instead.
    //
    // What is read by hand here is a hypothesis and supports no claim: it has no second half of problems and
    // no matched controls. Write it into a study as a `[[hypothesis]]` to test it.
    //
    // Before: `cargo run --release -- run probes/quickstart.toml`. The first cell builds the crate without
    // optimisation, which is sooner done; leave `:opt 0` out for long work.

    // %%
    // :opt 0
    // :dep deltascope = { path = ".." }
    use deltascope::compute::Compute;
    use deltascope::diff::{FeatureRow, Reading};
    use deltascope::experiments::{EditFile, SetRow, say};
    use deltascope::model::{Gradients, Hooks, Prompt, SampleSettings, TokenBatch};
    use deltascope::progress::Observer;
    use deltascope::study::{FinishedRun, RunPlace, Study};
    use deltascope::tables;
    use std::path::{Path, PathBuf};

    // %%
    let study = Study::load(Path::new("../probes/quickstart.toml"), &[])?;
    let device = Compute::named("cpu", "f32")?;
    let place =
        RunPlace { out: PathBuf::from("../runs/quickstart"), store: None, device, accept_older: false };
    let run = FinishedRun::open(study, place)?;
    let report = run.report()?;

    // %% [markdown]
    // ## What the run found
    //
    // The declared hypotheses with their verdicts, as on the report's page.

    // %%
    report.sheet("claims")?.evcxr_display();

    // %% [markdown]
    // Effect on transfer against effect on safety, for every receiver, with the cloud of matched controls.

    // %%
    report.figure("effect-planes")?.evcxr_display();

    // %% [markdown]
    // ## A prompt of one's own
    //
    // A request that base refuses. All variants of the dictionary read the same tokens.

    // %%
    let readout = run.readout()?;
    let prompt = "<bos> ask pick i g ne :";
    let tokens = readout.model(0)?.tokenizer()?.encode(prompt)?;
    println!("{} tokens, read at {} by {}", tokens.len(), readout.hook(), readout.variants().join(", "));

    // %% [markdown]
    // How far has each variant moved from base at every token? The length of the difference of activations, in
    // percent of base's.

    // %%
    let mut base: Vec<Vec<f32>> = Vec::new();
    for (variant, name) in readout.variants().iter().enumerate() {
        let mut hooks = Hooks::none().capture(readout.hook());
        let batch = TokenBatch::new(std::slice::from_ref(&tokens))?;
        readout.model(variant)?.hidden(&batch, None, &mut hooks, Gradients::Off)?;
        // [rows, positions, d_model], of which the first row.
        let captured = hooks.take(readout.hook()).unwrap();
        let activation: Vec<Vec<f32>> = captured.get(0)?.to_vec2()?;
        if base.is_empty() {
            base = activation.clone();
        }
        let length = |vector: &mut dyn Iterator<Item = f32>| vector.map(|x| x * x).sum::<f32>().sqrt();
        let moved = activation.iter().zip(&base).map(|(own, base)| {
            let difference = length(&mut own.iter().zip(base).map(|(own, base)| own - base));
            format!("{:4.0}", 100.0 * difference / length(&mut base.iter().copied()))
        });
        println!("{name:>16} {}", moved.collect::<String>());
    }

    // %% [markdown]
    // ## The features that fire
    //
    // The joint code of the prompt: each feature reads all variants at once. The strongest fifteen, with the class
    // that the diff gave them and where they came to rest.

    // %%
    let features: Vec<FeatureRow> =
        tables::read(Path::new("../runs/quickstart/report/tables/features.parquet"))?;
    let codes = readout.codes(std::slice::from_ref(&tokens), &Reading::Joint)?;
    let mut firing: Vec<(f32, usize, usize)> = (0..tokens.len())
        .flat_map(|position| codes.token(position).map(move |(feature, value)| (value, feature, position)))
        .collect();
    firing.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("activation  feature  token   class");
    for (value, feature, position) in firing.iter().take(15) {
        let token = readout.model(0)?.tokenizer()?.token(tokens[*position]).unwrap_or_default();
        let class = features[*feature].class.name();
        println!("{value:10.2}  {feature:7}  {token:6}  {class}");
    }

    // %% [markdown]
    // ## Steering one feature
    //
    // The study scored a set of features for safety on one half of its problems. Each of them alone is set to its
    // usual strength (the 95th percentile where it fires), times one and two, at every token of `sft_benign`, the
    // variant that has unlearned to refuse. All are tried and each is shown once, at the first strength that changes
    // what is said: many change nothing, and how many is part of the answer. The last column tells how much of the
    // activation an edit wrote, for an edit that writes nothing would look like a feature without effect.

    // %%
    let sets: Vec<SetRow> = tables::read(Path::new("../runs/quickstart/report/tables/sets.parquet"))?;
    let safety: Vec<u64> =
        sets.iter().filter(|row| row.hypothesis == "benign safety").map(|row| row.feature).collect();
    let classes: Vec<String> = features.iter().map(|row| row.class.name().to_owned()).collect();
    let end = readout.model(0)?.tokenizer()?.eos();
    let settings =
        SampleSettings { max_new_tokens: 12, stop: end.into_iter().collect(), ..SampleSettings::default() };
    let prompts = vec![Prompt { tokens: tokens.clone(), key: 1 }];
    fn edit(name: String, features: &[u64], edit: &str) -> String {
        format!(
            "[[edit]]\nname = \"{name}\"\nset = {{ features = {features:?} }}\n\
             receiver = \"sft_benign@640\"\n{edit}\n"
        )
    }
    let steered: String = safety
        .iter()
        .flat_map(|feature| [1, 2].map(|dose| (*feature, dose)))
        .map(|(feature, dose)| {
            let steer = format!("edit = \"steer\"\ndose = {dose}.0");
            edit(format!("feature {feature} x{dose}"), &[feature], &steer)
        })
        .collect();
    let mut baseline = String::new();
    let mut changed: Vec<String> = Vec::new();
    for said in
        say(&readout, &EditFile::parse(&steered)?, &classes, &prompts, &settings, &Observer::silent())?
    {
        let text = readout.model(0)?.tokenizer()?.decode(&said.completions[0].tokens);
        let feature = said.condition.split(" x").next().unwrap_or_default().to_owned();
        if baseline.is_empty() {
            baseline = text.clone();
        } else if text == baseline || changed.contains(&feature) {
            continue;
        } else {
            changed.push(feature);
        }
        println!("{:>16}: {text:24} ({:.0} %)", said.condition, 100.0 * said.tallies.total().relative_norm());
    }
    println!("{} of {} features change what is said", changed.len(), safety.len());

    // %% [markdown]
    // ## Giving the set base's directions
    //
    // The edit of the study's own hypothesis: where these features fire, their directions in `sft_benign` are
    // replaced by those in base. Everything that the dictionary does not explain stays as it is. The strongest
    // feature alone, then the two, four, … strongest, up to the whole set: how few bring the refusal back?

    // %%
    let mut sizes: Vec<usize> = vec![1, 2, 4];
    sizes.retain(|size| *size < safety.len());
    sizes.push(safety.len());
    let transplanted: String = sizes
        .iter()
        .map(|size| edit(format!("strongest {size}"), &safety[..*size], "edit = { transplant = \"base\" }"))
        .collect();
    let file = EditFile::parse(&transplanted)?;
    for said in say(&readout, &file, &classes, &prompts, &settings, &Observer::silent())? {
        let text = readout.model(0)?.tokenizer()?.decode(&said.completions[0].tokens);
        println!("{:>16}: {text:24} ({:.0} %)", said.condition, 100.0 * said.tallies.total().relative_norm());
    }

    // %% [markdown]
    // ## Any table
    //
    // Every table of the report is a polars data frame.

    // %%
    println!("{}", report.frame("claims")?);
    Ok(())
}
