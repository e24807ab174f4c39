//! Feature pages for Neuronpedia: the files that its importer reads (`export-data.py` of its repository writes them).
//!
//! Neuronpedia knows models, and sources (dictionaries) of a model; a dictionary over several variants becomes one
//! source of each, with that variant's decoder as the feature's vector:
//!
//! `<variant>/<layer>-<set>/{model,release,source,sourceset}.jsonl`, and
//! `features/batch-N.jsonl.gz` and `activations/batch-N.jsonl.gz`, 1024 features each.
//!
//! Ids hold letters, digits, `-` and `_`; other characters of a variant's name become `-`. The dictionary does not know
//! how many layers and neurons a model has, which the importer asks for: the number of layers up to its own is
//! written, and 0 neurons, as none are exported.
//!
//! Everything but the vectors comes from the tables `features` and `contexts`. Bins are the quarters of a feature's
//! positive activations; the strongest places have `binMin` and `binContains` -1, as SAEDashboard marks them.

use super::alphabet::Alphabet;
use super::rows::{ContextRow, FeatureRow};
use crate::dictionaries::Dictionary;
use crate::error::{Error, Result, io};
use crate::model::HookPoint;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Features in one file.
const BATCH: usize = 1024;
/// The account that owns imported data in a Neuronpedia of one's own.
const CREATOR: &str = "clkht01d40000jv08hvalcvly";

/// What a source is called.
struct Source<'a> {
    alphabet: Alphabet,
    model: String,
    layer: usize,
    set: String,
    id: String,
    hook: &'a str,
    variant: usize,
}

/// Writes the pages of every feature under `out` and returns the folder of each variant's source.
///
/// # Errors
/// If the dictionary's hook names no layer, the tables are not of this dictionary, or the disk fails.
pub fn neuronpedia(
    dictionary: &Dictionary,
    features: &[FeatureRow],
    contexts: &[ContextRow],
    out: &Path,
) -> Result<Vec<PathBuf>> {
    dictionary.spec().check_positive("a page of Neuronpedia")?;
    if features.len() != dictionary.features() {
        return Err(Error::request(format!(
            "expected the table of {} features, found {} rows",
            dictionary.features(),
            features.len()
        ))
        .hint("give the folder that `diff` wrote for this dictionary"));
    }
    let hook = &dictionary.spec().output_hook;
    let layer = match hook.parse::<HookPoint>() {
        Ok(HookPoint::Block(layer, _)) => layer,
        _ => {
            return Err(Error::request(format!("expected a dictionary of some block, found hook `{hook}`"))
                .hint("Neuronpedia sorts sources by layer; dictionaries of imported activations have none"));
        }
    };
    let mut by_feature: BTreeMap<u32, Vec<&ContextRow>> = BTreeMap::new();
    contexts.iter().for_each(|context| by_feature.entry(context.feature).or_default().push(context));
    let set = format!("deltascope-{}", dictionary.kind().name().replace('_', "-"));
    let alphabet = Alphabet::of(features, contexts);
    let models = ids(dictionary.variants())?;
    let mut written = Vec::new();
    for (variant, model) in models.into_iter().enumerate() {
        let source =
            Source { alphabet, model, layer, id: format!("{layer}-{set}"), set: set.clone(), hook, variant };
        let folder = out.join(&source.model).join(&source.id);
        source.write_cards(&folder, features.len())?;
        for (batch, rows) in features.chunks(BATCH).enumerate() {
            let page = |row: &FeatureRow| source.feature(dictionary, row);
            let pages = rows.iter().map(page).collect::<Result<Vec<_>>>()?;
            write_compressed(&folder.join("features"), batch, &pages)?;
            let places = rows.iter().flat_map(|row| by_feature.get(&row.feature).into_iter().flatten());
            let places = places.map(|context| source.activation(context)).collect::<Result<Vec<_>>>()?;
            // The importer cannot read a file without lines.
            if !places.is_empty() {
                write_compressed(&folder.join("activations"), batch, &places)?;
            }
        }
        written.push(folder);
    }
    Ok(written)
}

impl Source<'_> {
    /// The files that describe model, release and source.
    fn write_cards(&self, folder: &Path, features: usize) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|error| io("create", folder, error))?;
        let about = format!("{features} features of all variants, with the decoder of {}", self.model);
        let cards = [
            (
                "model",
                json!({
                    "id": self.model, "displayName": self.model, "displayNameShort": self.model,
                    "instruct": false, "layers": self.layer + 1, "neuronsPerLayer": 0, "owner": "deltascope",
                    "visibility": "PUBLIC", "creatorId": CREATOR,
                }),
            ),
            (
                "release",
                json!({
                    "name": self.set, "description": about, "descriptionShort": about, "urls": [],
                    "visibility": "PUBLIC",
                    "creatorName": "deltascope", "creatorNameShort": "deltascope", "creatorId": CREATOR,
                }),
            ),
            (
                "sourceset",
                json!({
                    "modelId": self.model, "name": self.set, "description": about, "visibility": "PUBLIC",
                    "releaseName": self.set, "creatorName": "deltascope", "creatorId": CREATOR,
                }),
            ),
            (
                "source",
                json!({
                    "id": self.id, "modelId": self.model, "setName": self.set, "visibility": "PUBLIC",
                    "hasDashboards": true, "inferenceEnabled": false, "creatorId": CREATOR,
                }),
            ),
        ];
        for (name, card) in cards {
            let path = folder.join(format!("{name}.jsonl"));
            std::fs::write(&path, format!("{card}\n")).map_err(|error| io("write", &path, error))?;
        }
        Ok(())
    }

    fn feature(&self, dictionary: &Dictionary, row: &FeatureRow) -> Result<Value> {
        let feature = row.feature as usize;
        let name = &dictionary.variants()[self.variant];
        let vector: Vec<f64> = dictionary
            .decoder(feature, self.variant)
            .iter()
            .map(|value| rounded(f64::from(*value)))
            .collect();
        let tokens = |side: &str| -> Result<Vec<String>> {
            let tokens: Vec<String> = list(row.text(&format!("{side}_{name}")).unwrap_or("[]"))?;
            Ok(tokens.iter().map(|token| self.alphabet.readable(token)).collect())
        };
        let logits = |side: &str| numbers(row.text(&format!("{side}_logits_{name}")).unwrap_or("[]"));
        let largest = rounded(row.max_active.unwrap_or(0.0));
        let counts: Vec<u64> = list(&row.histogram)?;
        let neighbours: Vec<u32> = list(&row.nearest)?;
        let step = row.max_active.unwrap_or(0.0) / counts.len().max(1) as f64;
        let middles: Vec<f64> = (0..counts.len()).map(|index| rounded((index as f64 + 0.5) * step)).collect();
        Ok(json!({
            "modelId": self.model, "layer": self.id, "index": row.feature.to_string(),
            "sourceSetName": self.set, "creatorId": CREATOR,
            "maxActApprox": largest, "frac_nonzero": row.rate,
            "hasVector": true, "vector": vector, "vectorLabel": Value::Null, "hookName": self.hook,
            "vectorDefaultSteerStrength": largest,
            "topkCosSimIndices": neighbours, "topkCosSimValues": numbers(&row.nearest_cosines)?,
            "pos_str": tokens("promoted")?, "pos_values": logits("promoted")?,
            "neg_str": tokens("suppressed")?, "neg_values": logits("suppressed")?,
            "freq_hist_data_bar_heights": counts, "freq_hist_data_bar_values": middles,
            "logits_hist_data_bar_heights": [], "logits_hist_data_bar_values": [],
            "neuron_alignment_indices": [], "neuron_alignment_values": [], "neuron_alignment_l1": [],
            "correlated_neurons_indices": [], "correlated_neurons_pearson": [], "correlated_neurons_l1": [],
            "decoder_weights_dist": [],
        }))
    }

    fn activation(&self, context: &ContextRow) -> Result<Value> {
        let tokens: Vec<String> = list(&context.tokens)?;
        let tokens: Vec<String> = tokens.iter().map(|token| self.alphabet.readable(token)).collect();
        let values = numbers(&context.activations)?;
        let top = context.band == "top";
        let place = format!("{} {} {} {}", self.model, self.id, context.feature, context.rank);
        let id = blake3::hash(place.as_bytes()).to_hex();
        Ok(json!({
            "id": format!("c{}", &id[..24]),
            "modelId": self.model, "layer": self.id, "index": context.feature.to_string(),
            "creatorId": CREATOR, "dataSource": context.source, "tokens": tokens,
            "maxValue": rounded(context.peak), "maxValueTokenIndex": context.peak_index,
            "minValue": values.iter().copied().fold(f64::INFINITY, f64::min).min(context.peak),
            "values": values,
            "dfaValues": [], "dfaMaxValue": Value::Null, "dfaTargetIndex": Value::Null,
            "binMin": if top { -1.0 } else { rounded(context.band_low) },
            "binMax": rounded(context.band_high),
            "binContains": if top { -1.0 } else { 0.25 },
        }))
    }
}

/// Neuronpedia keeps three decimals.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The ids of models named so.
fn ids(names: &[String]) -> Result<Vec<String>> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let id = |name: &String| name.chars().map(|letter| if allowed(letter) { letter } else { '-' }).collect();
    let ids: Vec<String> = names.iter().map(id).collect();
    for (index, id) in ids.iter().enumerate() {
        if let Some(twin) = ids[..index].iter().position(|other| other == id) {
            return Err(Error::request(format!(
                "expected variants with ids of their own, found `{}` and `{}`, which are both `{id}` in Neuronpedia",
                names[twin], names[index]
            ))
            .hint("rename one with --rename OLD=NEW, here and for `diff`"));
        }
    }
    Ok(ids)
}

/// A list as a table holds it.
fn list<T: DeserializeOwned>(text: &str) -> Result<Vec<T>> {
    serde_json::from_str(text).map_err(|error| {
        Error::work(format!("the table holds a list that cannot be read: {error}"))
            .hint("run `diff` again with this version")
    })
}

fn numbers(text: &str) -> Result<Vec<f64>> {
    Ok(list(text)?.into_iter().map(rounded).collect())
}

fn write_compressed(folder: &Path, batch: usize, rows: &[Value]) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| io("create", folder, error))?;
    let path = folder.join(format!("batch-{batch}.jsonl.gz"));
    let failed = |error| io("write", &path, error);
    let file = std::fs::File::create(&path).map_err(failed)?;
    let mut encoder = GzEncoder::new(std::io::BufWriter::new(file), Compression::new(5));
    for row in rows {
        writeln!(encoder, "{row}").map_err(failed)?;
    }
    encoder.finish().and_then(|mut file| file.flush()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionaries::{Activation, Kind, Site, Spec, Weights};
    use crate::diff::Cell;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn dictionary(hook: &str) -> Dictionary {
        let sites: Vec<Site> = ["base", "rl@120"].map(Site::of).into();
        let spec = Spec {
            hook: hook.to_owned(),
            output_hook: hook.to_owned(),
            ..Spec::reconstructing(Kind::Crosscoder, Activation::Relu, sites, 2, 1)
        };
        let weights = Weights {
            encoder: vec![0.0; 4],
            encoder_bias: vec![0.0],
            decoder: vec![1.0, 2.0, 0.12345, -4.0],
            decoder_bias: vec![0.0; 4],
            ..Weights::default()
        };
        Dictionary::new(spec, weights).unwrap()
    }

    fn row() -> FeatureRow {
        let texts = [
            ("promoted_rl@120", "[\"\u{120}no\", \" \"]"),
            ("promoted_logits_rl@120", "[1.5, 0.25]"),
            ("suppressed_rl@120", "[\"ok\"]"),
            ("suppressed_logits_rl@120", "[-2.0]"),
        ];
        let texts = texts.map(|(name, text)| (name.to_owned(), Cell::Text(text.to_owned())));
        FeatureRow {
            rate: 0.25,
            max_active: Some(4.0),
            histogram: "[6, 4]".to_owned(),
            nearest: "[7]".to_owned(),
            nearest_cosines: "[0.5]".to_owned(),
            per_variant: texts.into(),
            ..FeatureRow::blank(0)
        }
    }

    fn context(band: &str) -> ContextRow {
        ContextRow {
            feature: 0,
            rank: 0,
            peak: 3.0,
            band: band.to_owned(),
            band_low: 2.0,
            band_high: 3.5,
            source: "rl".to_owned(),
            part: "response".to_owned(),
            problem: String::new(),
            example: 0,
            position: 1,
            peak_index: 1,
            tokens: "[\"\u{120}make\", \"24\"]".to_owned(),
            activations: "[0.0, 3.0]".to_owned(),
        }
    }

    fn line(path: &Path) -> Value {
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        serde_json::from_str(text.lines().next_back().unwrap()).unwrap()
    }

    #[test]
    fn every_variant_becomes_a_source_with_its_own_vectors() {
        let folder = tempfile::tempdir().unwrap();
        let dictionary = dictionary("blocks.3.hook_resid_post");
        let contexts = [context("top"), context("q2")];
        let written = neuronpedia(&dictionary, &[row()], &contexts, folder.path()).unwrap();
        assert_eq!(written[1], folder.path().join("rl-120/3-deltascope-crosscoder"));
        let feature = line(&written[1].join("features/batch-0.jsonl.gz"));
        assert_eq!((&feature["modelId"], &feature["index"]), (&json!("rl-120"), &json!("0")));
        assert_eq!(feature["vector"], json!([0.123, -4.0]));
        assert_eq!(
            (&feature["pos_str"], &feature["pos_values"]),
            (&json!([" no", " "]), &json!([1.5, 0.25]))
        );
        assert_eq!((&feature["maxActApprox"], &feature["frac_nonzero"]), (&json!(4.0), &json!(0.25)));
        assert_eq!(feature["freq_hist_data_bar_values"], json!([1.0, 3.0]));
        assert_eq!(line(&written[0].join("features/batch-0.jsonl.gz"))["vector"], json!([1.0, 2.0]));
        let activation = line(&written[0].join("activations/batch-0.jsonl.gz"));
        assert_eq!(activation["tokens"], json!([" make", "24"]));
        assert_eq!((&activation["binMin"], &activation["binContains"]), (&json!(2.0), &json!(0.25)));
        assert_eq!((&activation["maxValue"], &activation["maxValueTokenIndex"]), (&json!(3.0), &json!(1)));
        for card in ["model", "release", "source", "sourceset"] {
            assert!(written[0].join(format!("{card}.jsonl")).is_file(), "{card}");
        }
    }

    #[test]
    fn the_cards_hold_what_the_importer_asks_for() {
        let folder = tempfile::tempdir().unwrap();
        let dictionary = dictionary("blocks.3.hook_resid_post");
        let written = neuronpedia(&dictionary, &[row()], &[], folder.path()).unwrap();
        let card = |name: &str| -> Value {
            serde_json::from_str(&std::fs::read_to_string(written[1].join(name)).unwrap()).unwrap()
        };
        let model = card("model.jsonl");
        assert_eq!((&model["layers"], &model["neuronsPerLayer"]), (&json!(4), &json!(0)));
        assert!(model["owner"].is_string());
        for name in ["model.jsonl", "release.jsonl", "source.jsonl", "sourceset.jsonl"] {
            assert_eq!(card(name)["visibility"], "PUBLIC", "{name}");
        }
        assert!(!written[1].join("activations").exists(), "no contexts, no file");
        let names = |names: &[&str]| ids(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names(&["EleutherAI/pythia-70m", "rl@1_0"]).unwrap(), ["EleutherAI-pythia-70m", "rl-1_0"]);
        assert!(names(&["rl@1", "rl-1"]).unwrap_err().to_string().contains("both `rl-1`"));
    }

    #[test]
    fn what_has_no_layer_or_another_table_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |hook: &str, rows: &[FeatureRow]| {
            neuronpedia(&dictionary(hook), rows, &[], folder.path()).unwrap_err().to_string()
        };
        assert!(refused("", &[row()]).contains("of some block"));
        assert!(refused("blocks.3.hook_resid_post", &[]).contains("table of 1 features, found 0"));
    }
}
