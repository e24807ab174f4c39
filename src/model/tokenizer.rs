//! Tokenizers: `tokenizer.json` in and out, and small word-level vocabularies.
//!
//! A text has the tokens that transformers' `AutoTokenizer` gives it, called on the same folder: `class` says which
//! tokenizer it makes, `stated` which tokens the files beside `tokenizer.json` add, `document` what no file may ask for.
//!
//! # What stands around a text
//!
//! One rule, for `sample`, `eval`, `train`, `diff`, `intervene` and studies, and for every text that a model reads from its
//! beginning ([`Tokenizer::encode_begun`]):
//!
//! 1. Before a plain text stands what the tokenizer's own rules (its post-processor) put there, as in `AutoTokenizer`;
//!    a text that begins with it already does not get it twice.
//! 2. What a chat template writes, and token ids that are given, stay as they are.
//! 3. What the tokenizer would put after a text is left out: the model goes on. A response that is learned ends with one
//!    end token.
//!
//! A tokenizer has a begin token ([`Tokenizer::bos`]) only if its own files name one; `bos_token_id` of `config.json` says
//! nothing about texts, and transformers does not ask it either. Where they name no end or padding token, that of
//! `config.json` is taken, by which transformers stops; not where they say that there is none (`null`).

mod begin;
mod class;
mod document;
mod stated;
#[cfg(test)]
mod tests;

use super::chat::{Conversation, Ending};
use crate::error::{At, Error, Result, io};
use crate::foreign;
use begin::Around;
use class::{Class, Signs};
use serde_json::{Map, Value, json};
use stated::Stated;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokenizers::ModelWrapper;

/// A tokenizer with its special tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    tokenizer: tokenizers::Tokenizer,
    bos: Option<u32>,
    eos: Option<u32>,
    stop: Vec<u32>,
    pad: Option<u32>,
    around: Around,
    /// Whether spaces before punctuation are taken out of what is decoded.
    cleans: bool,
    notes: Vec<String>,
    /// What an error names.
    place: PathBuf,
    /// `tokenizer_config.json`, with the special tokens that an older repository names beside it.
    config: Map<String, Value>,
    /// The special tokens as chat templates know them, by name (`bos_token`).
    named: BTreeMap<String, String>,
    /// `chat_template.jinja`, written back unchanged.
    chat_file: Option<String>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, and what the files beside it say of its tokens.
    ///
    /// # Errors
    /// If `tokenizer.json` is missing, malformed or hostile, or its class is one that is not made here.
    pub fn load(folder: &Path) -> Result<Self> {
        let place = folder.join("tokenizer.json");
        let text = foreign::text(&place, document::LARGEST)?;
        let document: Value = serde_json::from_str(&text)
            .map_err(|error| Error::request(format!("not a readable tokenizer: {error}")))
            .at(place.display())?;
        document::check(&document).at(place.display())?;
        let config = optional_object(&folder.join("tokenizer_config.json"))?;
        let model = optional_object(&folder.join("config.json"))?;
        let name = |of: &Map<String, Value>, key: &str| of.get(key)?.as_str().map(str::to_owned);
        let (own, beside) = (name(&config, "tokenizer_class"), name(&model, "tokenizer_class"));
        let family = name(&model, "model_type");
        let code =
            config.get("auto_map").is_some_and(|map| map.is_array() || map.get("AutoTokenizer").is_some());
        let class = Class::of(&Signs {
            family: family.as_deref(),
            own: own.as_deref(),
            beside: beside.as_deref(),
            code,
            bytes: text.contains("\"ByteLevel\""),
        })
        .at(folder.join("tokenizer_config.json").display())?;
        let mut stated = Stated::read(folder, config, class, &document)?;
        let rebuilt = match class.rebuilt(&document, &stated.settings()).at(place.display())? {
            None if stated.fixes_mistral && is_old_mistral(&document, &model) => {
                let mut fields = document.as_object().cloned().unwrap_or_default();
                class::split_as_mistral(&mut fields);
                Some(Value::Object(fields))
            }
            rebuilt => rebuilt,
        };
        if rebuilt.is_some() && class != Class::Plain {
            stated.notes.push(format!(
                "AutoTokenizer makes a {} of tokenizer.json: only its vocabulary, merges and post-processor count",
                class.name()
            ));
        }
        let text = rebuilt.map_or(text, |document| document.to_string());
        let (tokenizer, around) = foreign::guarded(&place, || {
            let mut tokenizer: tokenizers::Tokenizer = text
                .parse()
                .map_err(|error| Error::request(format!("not a readable tokenizer: {error}")))
                .at(place.display())?;
            // As a call of AutoTokenizer, which sets neither unless it is asked for.
            tokenizer.with_padding(None);
            tokenizer
                .with_truncation(None)
                .map_err(|error| Error::request(format!("not a readable tokenizer: {error}")))
                .at(place.display())?;
            stated.add_to(&mut tokenizer, class).at(place.display())?;
            tokenizer.set_encode_special_tokens(stated.splits_special);
            let around = Around::of(&tokenizer).at(place.display())?;
            Ok((tokenizer, around))
        })?;
        for key in ["truncation", "padding"] {
            if document.get(key).is_some_and(|setting| !setting.is_null()) {
                stated.notes.push(format!(
                    "`{key}` of tokenizer.json is not applied, as in a call of AutoTokenizer: texts keep all of their \
                     tokens, and get no others"
                ));
            }
        }
        let special = |name: &str| -> Result<Option<u32>> {
            let key = format!("{name}_token");
            let in_file = |text: &str| {
                let vocabulary = document.get("model").and_then(|model| model.get("vocab"));
                vocabulary.is_some_and(|all| all.get(text).is_some())
                    || document.get("added_tokens").and_then(Value::as_array).is_some_and(|all| {
                        all.iter().any(|token| token.get("content").is_some_and(|content| content == text))
                    })
            };
            // What a class has by itself, and the vocabulary lacks, is no token that this model ever saw.
            let token = stated.named(&key).filter(|token| !token.is_default || in_file(&token.added.content));
            match token {
                Some(token) => Ok(tokenizer.token_to_id(&token.added.content)),
                None if name == "bos" || stated.says_none(&key) => Ok(None),
                None => {
                    let ids = token_ids(&model, &format!("{name}_token_id"));
                    Ok(ids.at(folder.join("config.json").display())?.first().copied())
                }
            }
        };
        let (bos, eos, pad) = (special("bos")?, special("eos")?, special("pad")?);
        let path = folder.join("chat_template.jinja");
        let chat_file = match path.exists() {
            true => Some(foreign::text(&path, document::LARGEST)?),
            false => None,
        };
        let mut stop = super::stop_tokens(folder, None)?;
        stop.extend(eos);
        stop.sort_unstable();
        stop.dedup();
        let is_bpe = matches!(tokenizer.get_model(), ModelWrapper::BPE(_));
        let cleans = stated.cleans.unwrap_or(false) && (!is_bpe || stated.cleans_bpe);
        let text = |(name, token): (String, Option<stated::Token>)| Some((name, token?.added.content));
        let named = stated.named.into_iter().filter_map(text).collect();
        let (config, notes) = (stated.config, stated.notes);
        let inner =
            Inner { tokenizer, bos, eos, stop, pad, around, cleans, notes, place, config, named, chat_file };
        Ok(Self(Arc::new(inner)))
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
        foreign::guarded(&self.0.place, || {
            let encoding = self
                .0
                .tokenizer
                .encode(text, false)
                .map_err(|error| Error::request(format!("cannot encode `{text}`: {error}")))?;
            Ok(encoding.get_ids().to_vec())
        })
    }

    /// Token ids of a plain text that a model reads from its beginning: with what the tokenizer's own rules put before
    /// a text, unless it begins with that. This is the one rule of all verbs.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_begun(&self, text: &str) -> Result<Vec<u32>> {
        let ids = self.encode(text)?;
        let before = &self.0.around.before;
        if ids.starts_with(before) { Ok(ids) } else { Ok([before.as_slice(), &ids].concat()) }
    }

    /// The tokens that stand before a plain text.
    pub fn begin(&self) -> &[u32] {
        &self.0.around.before
    }

    /// What stands before and after texts, as a sentence for an answer.
    pub fn rule(&self) -> String {
        let written = |ids: &[u32]| {
            let tokens =
                ids.iter().map(|id| format!("`{}`", self.token(*id).unwrap_or_else(|| id.to_string())));
            tokens.collect::<Vec<_>>().join(" ")
        };
        let around = &self.0.around;
        let before = match around.before.as_slice() {
            [] => "begin token: none is put before a text".to_owned(),
            ids => format!("begin token: {} is put before a text that does not begin with it", written(ids)),
        };
        let after = match around.after.as_slice() {
            [] => String::new(),
            ids => format!("; {}, which the tokenizer would put after it, is left out", written(ids)),
        };
        format!("{before}{after}; chat templates and given token ids stay as they are")
    }

    /// What of its files was left out, or read otherwise than it stands there, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// `messages` (role and content) as text, by the chat template of the repository.
    ///
    /// # Errors
    /// If there is no template, or it refuses the messages.
    pub fn render_chat(&self, messages: &Value, add_generation_prompt: bool) -> Result<String> {
        super::chat::render_chat(&self.chat_template(false)?, messages, add_generation_prompt, &self.0.named)
    }

    /// A whole conversation as text, by the chat template of the repository.
    ///
    /// # Errors
    /// As [`Tokenizer::render_chat`].
    pub fn render(&self, conversation: &Conversation, ending: Ending) -> Result<String> {
        let template = self.chat_template(conversation.tools.is_some())?;
        super::chat::render_conversation(&template, conversation, ending, &self.0.named)
    }

    /// The chat template. Of several it is the one called `tool_use` where there are tools, as in transformers, and
    /// else the one called `default`.
    ///
    /// # Errors
    /// If there is none.
    pub fn chat_template(&self, with_tools: bool) -> Result<String> {
        let named = self.0.config.get("chat_template");
        let called = |all: &[Value], name: &str| {
            let one = all.iter().find(|one| one.get("name").is_some_and(|found| found == name))?;
            one.get("template")?.as_str().map(str::to_owned)
        };
        let template = self.0.chat_file.clone().or_else(|| match named? {
            Value::String(template) => Some(template.clone()),
            Value::Array(all) => {
                let tools = if with_tools { called(all, "tool_use") } else { None };
                tools.or_else(|| called(all, "default"))
            }
            _ => None,
        });
        template.ok_or_else(|| {
            Error::request("the model has no chat template").hint("give `prompt` instead of `messages`")
        })
    }

    /// Whether texts are words with white space between them, of a list of whole words: what is joined is then parted
    /// by a space.
    pub(crate) fn is_of_words(&self) -> bool {
        use tokenizers::{ModelWrapper, PreTokenizerWrapper};
        matches!(self.0.tokenizer.get_model(), ModelWrapper::WordLevel(_))
            && matches!(self.0.tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::WhitespaceSplit(_)))
            && self.0.tokenizer.get_decoder().is_none()
    }

    /// The text of token ids, special tokens included. Unknown ids are left out. What the tokenizer cannot decode
    /// becomes one replacement character.
    pub fn decode(&self, ids: &[u32]) -> String {
        let decoded = foreign::guarded(&self.0.place, || {
            self.0.tokenizer.decode(ids, false).map_err(|error| Error::request(error.to_string()))
        });
        let text = decoded.unwrap_or_else(|_| char::REPLACEMENT_CHARACTER.to_string());
        if self.0.cleans { cleaned(&text) } else { text }
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
        self.0.tokenizer.get_vocab(true) == other.0.tokenizer.get_vocab(true)
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
        let named = [("bos_token", bos), ("eos_token", eos), ("pad_token", pad)];
        Ok(Self(Arc::new(Inner {
            tokenizer,
            bos: Some(bos_id),
            eos: Some(eos_id),
            stop: vec![eos_id],
            pad: Some(pad_id),
            around: Around::default(),
            cleans: false,
            notes: Vec::new(),
            place: PathBuf::from("tokenizer.json"),
            config,
            named: named.into_iter().map(|(name, token)| (name.to_owned(), token.to_owned())).collect(),
            chat_file: None,
        })))
    }
}

/// Whether Mistral's corrected way of splitting is for this repository, as transformers decides it.
fn is_old_mistral(document: &Value, model: &Map<String, Value>) -> bool {
    const FAMILIES: [&str; 5] = ["mistral", "mistral3", "voxtral", "ministral", "pixtral"];
    let count = |key: &str, of: &Value| of.get(key).and_then(Value::as_object).map_or(0, Map::len);
    let tokens = document.get("model").map_or(0, |model| count("vocab", model));
    let text = |key: &str| model.get(key).and_then(Value::as_str);
    let major =
        text("transformers_version").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    tokens > 100_000
        && document.get("pre_tokenizer").is_some_and(|found| !found.is_null())
        && major.is_none_or(|major| major < 5)
        && text("model_type").is_none_or(|family| FAMILIES.contains(&family))
}

/// Without the spaces that stand before punctuation, as transformers takes them out.
fn cleaned(text: &str) -> String {
    const PLACES: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    PLACES.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The ids that a field of a `config.json` or `generation_config.json` names: one, several, or none.
pub(super) fn token_ids(document: &Map<String, Value>, key: &str) -> Result<Vec<u32>> {
    let one = |id: &Value| {
        stated::number(id).ok_or_else(|| {
            Error::request(format!(
                "field `{key}`: expected a token id (a whole number of 32 bits), found {id}"
            ))
        })
    };
    match document.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(ids)) => ids.iter().map(one).collect(),
        Some(id) => one(id).map(|id| vec![id]),
    }
}

pub(super) fn optional_object(path: &Path) -> Result<Map<String, Value>> {
    if !path.exists() {
        return Ok(Map::new());
    }
    serde_json::from_str(&foreign::text(path, document::LARGEST)?)
        .map_err(|error| Error::request(format!("expected a JSON object: {error}")).at(path.display()))
}
