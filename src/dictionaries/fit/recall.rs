//! Planted features: how many of them the defaults find.

use super::super::vectors::{dot, norm};
use super::*;
use crate::activations::{ElementType, ExampleMeta, Header, Part, StoreWriter, TokenMeta};

const D: usize = 32;
const PLANTED: usize = 68;
const VARIANTS: usize = 3;

/// Activations with known features, and what was planted.
struct Planted {
    store: ActivationStore,
    /// `[PLANTED, VARIANTS, D]`
    decoder: Vec<f32>,
    /// Strength of each feature at each held-out token, `[tokens, PLANTED]`.
    strengths: Vec<f32>,
}

/// The easy set of the protocol: rates of 2 to 6 %, noise .02; a third of the features are shared, and the
/// others are reweighted, rotated, specific to one variant, lost, or partial.
fn plant(dir: &Path, tokens: usize, seed: u64) -> Planted {
    let mut stream = Stream::new(seed, "test.planted", &[]);
    let mut unit = || {
        let mut direction: Vec<f32> = (0..D).map(|_| stream.normal()).collect();
        let length = norm(&direction);
        direction.iter_mut().for_each(|value| *value /= length);
        direction
    };
    let mut decoder = vec![0.0; PLANTED * VARIANTS * D];
    for (feature, rows) in decoder.chunks_mut(VARIANTS * D).enumerate() {
        let (direction, other) = (unit(), unit());
        let norms = match feature % 6 {
            0..=2 => [1.0, 1.0, 1.0],
            3 => [1.0, 2.0, 1.0],
            4 => [0.0, 1.0, 1.0],
            _ => [0.0, 0.0, 1.0],
        };
        for (variant, row) in rows.chunks_mut(D).enumerate() {
            let rotated = feature % 6 == 2 && variant == 2;
            row.copy_from_slice(if rotated { &other } else { &direction });
            row.iter_mut().for_each(|value| *value *= norms[variant]);
        }
    }
    let rates: Vec<f32> = (0..PLANTED).map(|_| 0.02 + 0.04 * stream.uniform()).collect();
    let header = Header {
        variants: ["base", "sft", "rl"].map(str::to_owned).to_vec(),
        hook: String::new(),
        d_model: D,
        element: ElementType::F32,
        provenance: Vec::new(),
    };
    let mut writer = StoreWriter::create(dir, header).unwrap();
    let (mut values, mut strengths) = (vec![0.0; tokens * VARIANTS * D], vec![0.0; tokens * PLANTED]);
    for (row, strengths) in values.chunks_mut(VARIANTS * D).zip(strengths.chunks_mut(PLANTED)) {
        row.iter_mut().for_each(|value| *value = 0.02 * stream.normal());
        for feature in 0..PLANTED {
            if stream.uniform() < rates[feature] {
                strengths[feature] = 0.5 + stream.uniform();
                let planted = &decoder[feature * VARIANTS * D..(feature + 1) * VARIANTS * D];
                super::super::vectors::add_scaled(row, strengths[feature], planted);
            }
        }
    }
    let meta: Vec<TokenMeta> = (0..tokens as u32)
        .map(|position| TokenMeta { token: 0, position, example: 0, part: Part::Response })
        .collect();
    writer.push(&values, &meta, &[ExampleMeta { tokens, ..ExampleMeta::default() }]).unwrap();
    let store = writer.finish().unwrap();
    let strengths = strengths[store.held_out().start * PLANTED..].to_vec();
    Planted { store, decoder, strengths }
}

fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let count = a.len() as f32;
    let (mean_a, mean_b) = (a.iter().sum::<f32>() / count, b.iter().sum::<f32>() / count);
    let centre = |values: &[f32], mean: f32| values.iter().map(|value| value - mean).collect::<Vec<f32>>();
    let (a, b) = (centre(a, mean_a), centre(b, mean_b));
    dot(&a, &b) / (norm(&a) * norm(&b)).max(1e-12)
}

/// The share of planted features that some feature matches at .8: activation correlation, and decoder cosine in
/// every variant where it was planted.
fn recall(planted: &Planted, dictionary: &Dictionary) -> f64 {
    let x = planted.store.read(planted.store.held_out()).unwrap();
    let (tokens, features) = (planted.store.held_out().len(), dictionary.features());
    let codes = dictionary.codes(&x).unwrap().dense(features);
    let column = |values: &[f32], width: usize, index: usize| -> Vec<f32> {
        values.iter().skip(index).step_by(width).copied().collect()
    };
    let fitted: Vec<Vec<f32>> = (0..features).map(|feature| column(&codes, features, feature)).collect();
    assert_eq!(fitted[0].len(), tokens);
    let mut matched = vec![false; features];
    let found = (0..PLANTED).filter(|index| {
        let truth = column(&planted.strengths, PLANTED, *index);
        (0..features)
            .filter(|feature| {
                let feature = *feature;
                let cosines = (0..VARIANTS).filter_map(|variant| {
                    let row = (index * VARIANTS + variant) * D;
                    let row = &planted.decoder[row..row + D];
                    let fitted = dictionary.decoder(feature, variant);
                    (norm(row) > 0.0).then(|| dot(row, fitted) / (norm(row) * norm(fitted)).max(1e-12))
                });
                let hit =
                    cosines.fold(1.0f32, f32::min) >= 0.8 && correlation(&truth, &fitted[feature]) >= 0.8;
                matched[feature] |= hit;
                hit
            })
            .count()
            > 0
    });
    let found = found.count();
    let live = fitted.iter().filter(|values| values.iter().filter(|value| **value > 0.0).count() > 5).count();
    print!(" matched {} of {live} live;", matched.iter().filter(|m| **m).count());
    found as f64 / PLANTED as f64
}

#[test]
fn the_defaults_find_nine_in_ten_planted_features() {
    let folder = tempfile::tempdir().unwrap();
    let planted = plant(folder.path(), 120_000, 1);
    let settings = FitSettings { features: 96, k: 4, ..FitSettings::default() };
    let started = std::time::Instant::now();
    let dictionary = fit(&planted.store, &settings, 1, None, &Observer::silent()).unwrap();
    let rows = super::super::metrics(&dictionary, &planted.store, planted.store.held_out()).unwrap();
    let recall = recall(&planted, &dictionary);
    println!("recall {recall:.3} in {:.1} s", started.elapsed().as_secs_f64());
    for row in rows {
        println!("{}: FVE {:.3}, L0 {:.2}, dead {}", row.target, row.fve, row.l0, row.dead);
    }
    assert!(recall >= 0.9, "recall {recall}");
}

/// Tries settings given in the environment as JSON; prints recall and time over several seeds.
#[test]
#[ignore = "for tuning by hand"]
fn tune() {
    let folder = tempfile::tempdir().unwrap();
    for text in std::env::var("TUNE").unwrap().split(';') {
        let base = FitSettings { features: 96, k: 4, ..FitSettings::default() };
        let mut value = serde_json::to_value(base).unwrap();
        let change: serde_json::Value = serde_json::from_str(text).unwrap();
        value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let settings: FitSettings = serde_json::from_value(value).unwrap();
        let started = std::time::Instant::now();
        let results: Vec<String> = (1..=3u64)
            .map(|seed| {
                let dir = folder.path().join(format!("{seed}"));
                let _ = std::fs::remove_dir_all(&dir);
                let planted = plant(&dir, 120_000, seed);
                let dictionary = fit(&planted.store, &settings, seed, None, &Observer::silent()).unwrap();
                let rows =
                    super::super::metrics(&dictionary, &planted.store, planted.store.held_out()).unwrap();
                let difference = rows.last().unwrap();
                format!(
                    "{:.3} (FVE {:.3}/{:.3}, dead {})",
                    recall(&planted, &dictionary),
                    rows[0].fve,
                    difference.fve,
                    rows[0].dead
                )
            })
            .collect();
        println!("{text}: {} in {:.1} s", results.join(", "), started.elapsed().as_secs_f64());
    }
}

/// Times one step at the sizes of the speed table.
#[test]
#[ignore = "for timing by hand"]
fn time() {
    for (kind, sites, d, features) in [
        (Kind::Topk, 1, 256, 8192),
        (Kind::BatchTopkCrosscoder, 3, 256, 4096),
        (Kind::BatchTopkCrosscoder, 4, 128, 2048),
    ] {
        let names: Vec<Site> = (0..sites).map(|site| Site::of(site.to_string())).collect();
        let settings = FitSettings { kind, features, k: 32, k_anneal: 0.0, ..FitSettings::default() };
        let spec = Spec::reconstructing(kind, super::super::spec::Activation::Relu, names, d, features);
        let mut trainer = Trainer::new(settings.clone(), spec.clone(), State::default());
        trainer.state = initial(&trainer, 1);
        let mut stream = Stream::new(1, "test.time", &[]);
        let x: Vec<f32> = (0..2048 * sites * d).map(|_| stream.normal()).collect();
        let mut times: Vec<f64> = (0..12)
            .map(|_| {
                let (started, spent) = (std::time::Instant::now(), processor_seconds());
                trainer.step(&Batch { inputs: &x, targets: &x }).unwrap();
                println!(
                    "  {:.1} ms, {:.1} ms of processor",
                    started.elapsed().as_secs_f64() * 1e3,
                    (processor_seconds() - spent) * 1e3
                );
                started.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{kind} {sites} x {d}, {features} features: median {:.1} ms, least {:.1}",
            times[6], times[0]
        );
    }
}

/// Seconds of processor time that this process has used.
fn processor_seconds() -> f64 {
    let ticks = |text: &str| {
        text.split(' ').skip(13).take(2).filter_map(|tick| tick.parse::<f64>().ok()).sum::<f64>()
    };
    ticks(&std::fs::read_to_string("/proc/self/stat").unwrap()) / 100.0
}
