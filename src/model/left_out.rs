//! What of a repository's settings has no effect here, in sentences.

use super::config::Config;
use super::tokenizer;
use crate::error::Result;
use serde_json::Value;
use std::path::Path;

/// Keys of `generation_config.json` that are read, or say nothing of how tokens are chosen.
const HARMLESS: [&str; 7] = [
    "_from_model_config",
    "bos_token_id",
    "do_sample",
    "eos_token_id",
    "pad_token_id",
    "transformers_version",
    "use_cache",
];

/// One sentence for each file that says more than is followed.
///
/// # Errors
/// If `generation_config.json` is there and is no object.
pub(super) fn notes(config: &Config, folder: &Path) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    if !config.unread.is_empty() {
        notes.push(format!(
            "config.json: left out are `{}`, which the decoder of `{}` does not read",
            config.unread.join("`, `"),
            config.family.model_type()
        ));
    }
    let generation = tokenizer::optional_object(&folder.join("generation_config.json"))?;
    let named: Vec<&str> = generation
        .iter()
        .filter(|(key, value)| !HARMLESS.contains(&key.as_str()) && says(key, value))
        .map(|(key, _)| key.as_str())
        .collect();
    if !named.is_empty() {
        notes.push(format!(
            "generation_config.json: `{}` are not applied: tokens are drawn as this command's own settings say",
            named.join("`, `")
        ));
    }
    Ok(notes)
}

/// Whether a setting changes what is drawn: most files state that they change nothing.
fn says(key: &str, value: &Value) -> bool {
    let neutral = match key {
        "temperature" | "top_p" | "typical_p" | "repetition_penalty" | "length_penalty" | "num_beams" => 1.0,
        _ => 0.0,
    };
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(neutral),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    #[test]
    fn what_repositories_usually_say_is_read_or_harmless() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
        for folder in std::fs::read_dir(models).unwrap() {
            let config = Config::load(&folder.unwrap().path()).unwrap();
            assert!(config.unread.is_empty(), "{}: {:?}", config.family.model_type(), config.unread);
        }
    }

    #[test]
    fn what_nobody_reads_is_said() {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama");
        let folder = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(&from).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        let plain = Model::load(folder.path(), crate::compute::Compute::cpu()).unwrap();
        assert_eq!(plain.notes(), &[] as &[String]);
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for (key, value) in
            [("frobnicate", 1.into()), ("attn_sink_bias", 3.0.into()), ("use_cache", true.into())]
        {
            config[key] = value;
        }
        std::fs::write(&path, config.to_string()).unwrap();
        let generation =
            "{\"temperature\": 0.1, \"top_p\": 1.0, \"min_p\": 0.2, \"eos_token_id\": 2, \"own\": [1]}";
        std::fs::write(folder.path().join("generation_config.json"), generation).unwrap();
        let notes = Model::load(folder.path(), crate::compute::Compute::cpu()).unwrap().notes().to_vec();
        assert_eq!(notes.len(), 2, "{notes:?}");
        let (config, drawn) = (&notes[0], &notes[1]);
        assert!(
            config.contains("`frobnicate`, `attn_sink_bias`") && !config.contains("use_cache"),
            "{config}"
        );
        assert!(["`temperature`", "`min_p`", "`own`"].iter().all(|name| drawn.contains(name)), "{drawn}");
        assert!(!drawn.contains("top_p") && !drawn.contains("eos"), "{drawn}");
    }
}
