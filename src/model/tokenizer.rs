//! Tokenizers: `tokenizer.json` in and out, and small word-level vocabularies.

use crate::error::{Error, Result, io};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A tokenizer with its special tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    tokenizer: tokenizers::Tokenizer,
    bos: Option<u32>,
    eos: Option<u32>,
    stop: Vec<u32>,
    pad: Option<u32>,
    /// `tokenizer_config.json`, with the special tokens that an older repository names beside it.
    config: Map<String, Value>,
    /// The special tokens as chat templates know them, by name (`bos_token`).
    named: BTreeMap<String, String>,
    /// `chat_template.jinja`, written back unchanged.
    chat_file: Option<String>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, and the special tokens from `tokenizer_config.json` or, by id, from
    /// `config.json`.
    ///
    /// # Errors
    /// If `tokenizer.json` is missing or malformed.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let text = std::fs::read_to_string(&path).map_err(|error| io("read", &path, error))?;
        let tokenizer: tokenizers::Tokenizer = text.parse().map_err(|error| {
            Error::request(format!("not a readable tokenizer: {error}")).at(path.display())
        })?;
        let mut config = optional_object(&folder.join("tokenizer_config.json"))?;
        // Older repositories name their special tokens beside it, and transformers believes those.
        if !config.contains_key("added_tokens_decoder") {
            config.extend(optional_object(&folder.join("special_tokens_map.json"))?);
        }
        let named = named_tokens(&config);
        let model = optional_object(&folder.join("config.json"))?;
        let special = |name: &str| {
            let text = named.get(&format!("{name}_token"));
            text.and_then(|text| tokenizer.token_to_id(text)).or_else(|| {
                let id = model.get(&format!("{name}_token_id"))?;
                id.as_u64().or_else(|| id.as_array()?.first()?.as_u64()).map(|id| id as u32)
            })
        };
        let (bos, eos, pad) = (special("bos"), special("eos"), special("pad"));
        let path = folder.join("chat_template.jinja");
        let chat_file = match path.exists() {
            true => Some(std::fs::read_to_string(&path).map_err(|error| io("read", &path, error))?),
            false => None,
        };
        let mut stop = super::stop_tokens(folder, None)?;
        stop.extend(eos);
        stop.sort_unstable();
        stop.dedup();
        Ok(Self(Arc::new(Inner { tokenizer, bos, eos, stop, pad, config, named, chat_file })))
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json`, and `generation_config.json` where several tokens end a
    /// completion.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join("tokenizer.json");
        self.0
            .tokenizer
            .save(&path, true)
            .map_err(|error| Error::work(format!("cannot write {}: {error}", path.display())))?;
        if let Some(template) = &self.0.chat_file {
            let path = folder.join("chat_template.jinja");
            std::fs::write(&path, template).map_err(|error| io("write", &path, error))?;
        }
        // One end token is named by the tokenizer's own files; several are not.
        if self.0.stop.len() > 1 {
            let path = folder.join("generation_config.json");
            let document = serde_json::json!({ "eos_token_id": self.0.stop });
            std::fs::write(&path, format!("{document}\n")).map_err(|error| io("write", &path, error))?;
        }
        if self.0.config.is_empty() {
            return Ok(());
        }
        let path = folder.join("tokenizer_config.json");
        let text = serde_json::to_string_pretty(&self.0.config)
            .map_err(|error| Error::work(format!("tokenizer_config.json cannot be written: {error}")))?;
        std::fs::write(&path, text + "\n").map_err(|error| io("write", &path, error))
    }

    /// Token ids of `text`. No special tokens are added; those written in the text are recognised.
    ///
    /// # Errors
    /// If the text cannot be encoded, as when a word-level vocabulary lacks a word.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .0
            .tokenizer
            .encode(text, false)
            .map_err(|error| Error::request(format!("cannot encode `{text}`: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Token ids of `text` with the special tokens that the tokenizer's own rules add.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_specials(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .0
            .tokenizer
            .encode(text, true)
            .map_err(|error| Error::request(format!("cannot encode `{text}`: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// `messages` (role and content) as text, by the chat template of the repository.
    ///
    /// # Errors
    /// If there is no template, or it refuses the messages.
    pub fn render_chat(&self, messages: &Value, add_generation_prompt: bool) -> Result<String> {
        let named = self.0.config.get("chat_template");
        let default = |all: &Vec<Value>| {
            let one = all.iter().find(|one| one.get("name").is_some_and(|name| name == "default"))?;
            one.get("template")?.as_str().map(str::to_owned)
        };
        let template = self.0.chat_file.clone().or_else(|| match named? {
            Value::String(template) => Some(template.clone()),
            Value::Array(all) => default(all),
            _ => None,
        });
        let template = template.ok_or_else(|| {
            Error::request("the model has no chat template").hint("give `prompt` instead of `messages`")
        })?;
        super::chat::render_chat(&template, messages, add_generation_prompt, &self.0.named)
    }

    /// The text of token ids, special tokens included. Unknown ids are left out.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.0.tokenizer.decode(ids, false).unwrap_or_default()
    }

    /// The text of a response, without the tokens that end one: what closes it is no part of the answer.
    pub fn decode_response(&self, ids: &[u32]) -> String {
        let said: Vec<u32> = ids.iter().copied().filter(|id| !self.0.stop.contains(id)).collect();
        self.decode(&said)
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.0.tokenizer.id_to_token(id)
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.0.tokenizer.token_to_id(token)
    }

    /// The number of tokens, added ones included.
    pub fn vocabulary(&self) -> usize {
        self.0.tokenizer.get_vocab_size(true)
    }

    /// The token that begins a sequence.
    pub fn bos(&self) -> Option<u32> {
        self.0.bos
    }

    /// The tokens that end a completion: those that the repository names in `generation_config.json` or
    /// `config.json`, and the EOS. Empty if there is none.
    pub fn stop_tokens(&self) -> &[u32] {
        &self.0.stop
    }

    /// The token that ends a sequence.
    pub fn eos(&self) -> Option<u32> {
        self.0.eos
    }

    /// The padding token.
    pub fn pad(&self) -> Option<u32> {
        self.0.pad
    }

    /// Whether every token id stands for the same token in both: the number of tokens alone does not say so.
    pub fn has_tokens_of(&self, other: &Self) -> bool {
        self.vocabulary() == other.vocabulary()
            && (0..self.vocabulary() as u32).all(|id| self.token(id) == other.token(id))
    }

    /// A vocabulary of whole words, split at spaces; ids are their order. A word outside of it is an error
    /// when encoding. transformers' `PreTrainedTokenizerFast` loads what [`Tokenizer::save`] writes.
    ///
    /// # Errors
    /// If a word is there twice or holds a space, or a special token is not among the words.
    pub fn word_level(words: &[&str], bos: &str, eos: &str, pad: &str) -> Result<Self> {
        let mut vocabulary = Map::new();
        for (id, word) in words.iter().enumerate() {
            if word.is_empty() || word.contains(char::is_whitespace) {
                return Err(Error::request(format!("vocabulary: expected a word, found `{word}`")));
            }
            if vocabulary.insert((*word).to_owned(), json!(id)).is_some() {
                return Err(Error::request(format!("vocabulary: the word `{word}` is there twice")));
            }
        }
        let special = |name: &str| -> Result<u32> {
            let id = words.iter().position(|word| *word == name).ok_or_else(|| {
                Error::request(format!("vocabulary: the special token `{name}` is not among the words"))
            })?;
            Ok(id as u32)
        };
        let (bos_id, eos_id, pad_id) = (special(bos)?, special(eos)?, special(pad)?);
        let added: Vec<Value> = [(bos, bos_id), (eos, eos_id), (pad, pad_id)]
            .into_iter()
            .map(|(token, id)| {
                json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                       "normalized": false, "special": true})
            })
            .collect();
        let document = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null,
            "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
        });
        let tokenizer = document
            .to_string()
            .parse()
            .map_err(|error| Error::work(format!("word-level tokenizer: {error}")))?;
        let config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos,
            "pad_token": pad, "clean_up_tokenization_spaces": false,
        });
        let config = match config {
            Value::Object(config) => config,
            _ => Map::new(),
        };
        let named = named_tokens(&config);
        let (bos, eos, pad, stop) = (Some(bos_id), Some(eos_id), Some(pad_id), vec![eos_id]);
        Ok(Self(Arc::new(Inner { tokenizer, bos, eos, stop, pad, config, named, chat_file: None })))
    }
}

/// The special tokens that `tokenizer_config.json` names, each as a text or as an object with its content. One that is
/// `null` there does not exist for a template, whatever `config.json` says of its id.
fn named_tokens(config: &Map<String, Value>) -> BTreeMap<String, String> {
    let names = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map(|name| format!("{name}_token"));
    let text = |name: &String| {
        let token = config.get(name)?;
        token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned)
    };
    names.into_iter().filter_map(|name| Some((text(&name)?, name))).map(|(text, name)| (name, text)).collect()
}

pub(super) fn optional_object(path: &Path) -> Result<Map<String, Value>> {
    if !path.exists() {
        return Ok(Map::new());
    }
    let text = std::fs::read_to_string(path).map_err(|error| io("read", path, error))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::request(format!("expected a JSON object: {error}")).at(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_level_vocabularies_survive_a_save() -> Result<()> {
        let words = ["0", "1", "<pad>", "<bos>", "<eos>", ":", "make"];
        let tokenizer = Tokenizer::word_level(&words, "<bos>", "<eos>", "<pad>")?;
        let folder = tempfile::tempdir().unwrap();
        tokenizer.save(folder.path())?;
        let read = Tokenizer::load(folder.path())?;
        for tokenizer in [&tokenizer, &read] {
            let ids = tokenizer.encode("<bos> make 1 0 : <eos>")?;
            assert_eq!(ids, [3, 6, 1, 0, 5, 4]);
            assert_eq!(tokenizer.decode(&ids), "<bos> make 1 0 : <eos>");
            assert_eq!(tokenizer.decode_response(&ids[1..]), "make 1 0 :");
            assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.pad()), (Some(3), Some(4), Some(2)));
            assert_eq!(tokenizer.stop_tokens(), [4]);
            assert_eq!(tokenizer.vocabulary(), 7);
            assert!(tokenizer.encode("unknown").is_err());
        }
        Ok(())
    }

    #[test]
    fn a_template_sees_the_special_tokens_that_the_repository_names() -> Result<()> {
        let words = ["0", "<pad>", "<bos>", "<eos>"];
        let folder = tempfile::tempdir().map_err(|error| io("create", Path::new("folder"), error))?;
        Tokenizer::word_level(&words, "<bos>", "<eos>", "<pad>")?.save(folder.path())?;
        let write = |name: &str, document: Value| {
            let path = folder.path().join(name);
            std::fs::write(&path, document.to_string()).map_err(|error| io("write", &path, error))
        };
        write("config.json", json!({"bos_token_id": 2, "eos_token_id": 3}))?;
        let template = "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token is defined }}";
        let mut config =
            json!({"bos_token": null, "eos_token": {"content": "<eos>"}, "chat_template": template});
        write("tokenizer_config.json", config.clone())?;
        let read = Tokenizer::load(folder.path())?;
        assert_eq!(read.render_chat(&json!([]), false)?, "|<eos>||False");
        assert_eq!((read.bos(), read.eos()), (Some(2), Some(3)));
        // As in repositories of before `added_tokens_decoder`; and the file beside it is not read in later ones.
        write("special_tokens_map.json", json!({"bos_token": "<bos>", "pad_token": "<pad>"}))?;
        let read = Tokenizer::load(folder.path())?;
        assert_eq!(read.render_chat(&json!([]), false)?, "<bos>|<eos>|<pad>|False");
        config["added_tokens_decoder"] = json!({});
        write("tokenizer_config.json", config)?;
        assert_eq!(Tokenizer::load(folder.path())?.render_chat(&json!([]), false)?, "|<eos>||False");
        Ok(())
    }

    #[test]
    fn every_token_that_ends_a_turn_is_kept() -> Result<()> {
        let words = ["0", "1", "<pad>", "<bos>", "<eos>", "<turn>"];
        let folder = tempfile::tempdir().map_err(|error| io("create", Path::new("folder"), error))?;
        Tokenizer::word_level(&words, "<bos>", "<eos>", "<pad>")?.save(folder.path())?;
        let path = folder.path().join("generation_config.json");
        std::fs::write(&path, "{\"eos_token_id\": [5, 4]}").map_err(|error| io("write", &path, error))?;
        let tokenizer = Tokenizer::load(folder.path())?;
        assert_eq!(tokenizer.stop_tokens(), [4, 5]);
        assert_eq!(tokenizer.decode_response(&[0, 1, 5]), "0 1");
        let copy = tempfile::tempdir().map_err(|error| io("create", Path::new("folder"), error))?;
        tokenizer.save(copy.path())?;
        assert_eq!(Tokenizer::load(copy.path())?.stop_tokens(), [4, 5]);
        Ok(())
    }
}
