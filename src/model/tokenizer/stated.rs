//! What the files beside `tokenizer.json` say of its tokens, read as `AutoTokenizer` reads them.

use super::class::{Class, Settings};
use crate::error::{At, Error, Result};
use crate::foreign::Object;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::AddedToken;

/// The seven special tokens that every tokenizer may have, in the order in which they are added.
pub(super) const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A token as a file states it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) added: AddedToken,
    /// Whether it was no object with flags, but its text alone.
    pub(super) is_text: bool,
    /// Whether no file states it: it is what its class has by itself.
    pub(super) is_default: bool,
}

impl Token {
    fn text(text: &str) -> Self {
        // What stands there as a text alone is a special token.
        Self { added: AddedToken::from(text, true), is_text: true, is_default: false }
    }

    /// Reads a text, or an object with `content` and flags.
    fn read(value: &Value, special: bool) -> Result<Self> {
        let wrong = || Error::request(format!("expected a token as a text or an object, found {value}"));
        let fields = match value {
            Value::String(text) => return Ok(Self::text(text)),
            Value::Object(fields) => Object::new(fields.clone()),
            _ => return Err(wrong()),
        };
        fields.harmless(&["__type", "id"]);
        let content = fields.text("content")?.ok_or_else(wrong)?;
        let stated = fields.flag("special")?.unwrap_or(false);
        let flag = |key| Ok::<_, Error>(fields.flag(key)?.unwrap_or(false));
        let added = AddedToken::from(content, special || stated)
            .single_word(flag("single_word")?)
            .lstrip(flag("lstrip")?)
            .rstrip(flag("rstrip")?)
            // The flag depends on `special` as it stands in the object, whoever says otherwise later.
            .normalized(fields.flag("normalized")?.unwrap_or(!stated && !special));
        fields.finish()?;
        Ok(Self { added, is_text: false, is_default: false })
    }
}

/// All that is known of the tokens before `tokenizer.json` is read.
pub(super) struct Stated {
    /// `tokenizer_config.json`, with what an older repository names beside it.
    pub(super) config: Map<String, Value>,
    /// The special tokens by name; none where `null` is stated. The seven come first.
    pub(super) named: Vec<(String, Option<Token>)>,
    extra: Vec<Token>,
    /// By the id that a file gives them.
    decoder: BTreeMap<u32, AddedToken>,
    /// Texts with special tokens in them fall apart.
    pub(super) splits_special: bool,
    /// Spaces before punctuation are taken out of what is decoded.
    pub(super) cleans: Option<bool>,
    pub(super) cleans_bpe: bool,
    pub(super) fixes_mistral: bool,
    pub(super) notes: Vec<String>,
}

/// Keys that change no token: what they are for is not done here, or by nobody any longer.
const HARMLESS: [&str; 46] = [
    "_commit_hash",
    "add_prefix_space",
    "auto_map",
    "backend",
    "chat_control_tokens",
    "chat_template",
    "device_map",
    "do_lower_case",
    "errors",
    "from_slow",
    "full_tokenizer_file",
    "is_local",
    "keep_accents",
    "legacy",
    "local_files_only",
    "max_len",
    "max_length",
    "merges_file",
    "model_input_names",
    "model_max_length",
    "name_or_path",
    "pad_to_multiple_of",
    "pad_token_type_id",
    "padding",
    "padding_side",
    "processor_class",
    "remove_space",
    "response_schema",
    "response_template",
    "return_token_type_ids",
    "sp_model_kwargs",
    "spaces_between_special_tokens",
    "special_tokens_map_file",
    "stride",
    "strip_accents",
    "tokenize_chinese_chars",
    "tokenizer_class",
    "tokenizer_file",
    "transformers_version",
    "trim_offsets",
    "truncation",
    "truncation_side",
    "truncation_strategy",
    "use_default_system_prompt",
    "verbose",
    "vocab_file",
];

impl Stated {
    /// Reads the files of `folder`, for a tokenizer of this class whose `tokenizer.json` is `document`.
    ///
    /// # Errors
    /// If a file is malformed.
    pub(super) fn read(
        folder: &Path,
        mut config: Map<String, Value>,
        class: Class,
        document: &Value,
    ) -> Result<Self> {
        let place = folder.join("tokenizer_config.json");
        let is_older = !config.contains_key("added_tokens_decoder");
        let mut map = Map::new();
        let mut added = Map::new();
        if is_older {
            map = super::optional_object(&folder.join("special_tokens_map.json"))?;
            added = super::optional_object(&folder.join("added_tokens.json"))?;
            // transformers believes that file; and each key of it is special there.
            config.extend(map.clone());
        }
        let object = Object::new(config.clone());
        object.harmless(&HARMLESS);
        if object
            .get("fast_tokenizer_files")
            .is_some_and(|files| files.as_array().is_none_or(|all| all.len() > 1))
        {
            return Err(Error::request("field `fast_tokenizer_files`: only tokenizer.json is read"))
                .at(place.display());
        }
        let mut stated = Self {
            named: Vec::new(),
            extra: Vec::new(),
            decoder: BTreeMap::new(),
            splits_special: object.flag("split_special_tokens").at(place.display())?.unwrap_or(false),
            cleans: object.flag("clean_up_tokenization_spaces").at(place.display())?,
            cleans_bpe: object
                .flag("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output")
                .at(place.display())?
                .unwrap_or(false),
            fixes_mistral: object.flag("fix_mistral_regex").at(place.display())?.unwrap_or(false),
            notes: Vec::new(),
            config,
        };
        stated.read_named(&object, &map, class, document).at(place.display())?;
        stated.read_extra(&object, &map).at(place.display())?;
        stated.read_decoder(&object, &added, document).at(place.display())?;
        for (key, text) in [("add_bos_token", "begin"), ("add_eos_token", "end")] {
            if object.flag(key).at(place.display())? == Some(true) {
                stated.notes.push(format!(
                    "`{key}` of tokenizer_config.json is not followed, as in AutoTokenizer: what stands at the \
                     {text} of a text is what the post-processor of tokenizer.json puts there"
                ));
            }
        }
        let unknown = object.left_out();
        if !unknown.is_empty() {
            stated.notes.push(format!(
                "left out of tokenizer_config.json, since what it would do is not known: {}",
                unknown.join(", ")
            ));
        }
        Ok(stated)
    }

    fn read_named(
        &mut self,
        object: &Object,
        map: &Map<String, Value>,
        class: Class,
        document: &Value,
    ) -> Result<()> {
        let token = |key: &str, value: &Value| match value {
            Value::Null => Ok(None),
            _ => Token::read(value, map.contains_key(key)).map(Some).at(format!("field `{key}`")),
        };
        for key in NAMES {
            let found = match object.stated(key) {
                Some(value) => token(key, value)?,
                None => {
                    let padding = || {
                        let padding = document.get("padding")?.get("pad_token")?.as_str()?;
                        Some(padding).filter(|_| key == "pad_token" && class.takes_the_padding_token())
                    };
                    match (class.default_token(key), padding()) {
                        (Some(text), _) => Some(Token { is_default: true, ..Token::text(text) }),
                        (None, Some(text)) => Some(Token::text(text)),
                        (None, None) => continue,
                    }
                }
            };
            self.named.push((key.to_owned(), found));
        }
        // Any other key that ends so and holds a token is one of this model's own.
        let keys: Vec<String> = self.config.keys().filter(|key| key.ends_with("_token")).cloned().collect();
        for key in keys.iter().filter(|key| !NAMES.contains(&key.as_str())) {
            if let Some(value @ (Value::String(_) | Value::Object(_))) = object.stated(key) {
                let found = token(key, value)?;
                self.named.push((key.clone(), found));
            }
        }
        for key in ["extra_special_tokens", "model_specific_special_tokens"] {
            if let Some(Value::Object(own)) = object.stated(key) {
                for (name, value) in own {
                    let found = token(name, value)?;
                    self.named.retain(|(known, _)| known != name);
                    self.named.push((name.clone(), found));
                }
            }
        }
        Ok(())
    }

    fn read_extra(&mut self, object: &Object, map: &Map<String, Value>) -> Result<()> {
        let says = |value: &&Value| value.as_array().is_some_and(|all| !all.is_empty()) || value.is_object();
        let extra = object.stated("extra_special_tokens");
        let older = object.stated("additional_special_tokens");
        let (key, found) = match (extra.filter(says), older) {
            (None, Some(older)) => ("additional_special_tokens", Some(older)),
            (extra, _) => ("extra_special_tokens", extra),
        };
        match found {
            None | Some(Value::Null | Value::Object(_)) => Ok(()),
            Some(Value::Array(all)) => {
                let tokens = all.iter().map(|value| Token::read(value, map.contains_key(key)));
                self.extra = tokens.collect::<Result<_>>().at(format!("field `{key}`"))?;
                Ok(())
            }
            Some(other) => Err(Error::request(format!("field `{key}`: expected a list, found {other}"))),
        }
    }

    fn read_decoder(&mut self, object: &Object, added: &Map<String, Value>, document: &Value) -> Result<()> {
        match object.stated("added_tokens_decoder") {
            Some(Value::Object(tokens)) => {
                for (id, token) in tokens {
                    let place = || format!("field `added_tokens_decoder`, id `{id}`");
                    let number = id.trim().parse().map_err(|_| {
                        Error::request(format!("field `added_tokens_decoder`: expected an id, found `{id}`"))
                    })?;
                    let token = match token {
                        Value::Object(_) => Token::read(token, false).at(place())?,
                        _ => return Err(Error::request("expected an object").at(place())),
                    };
                    self.decoder.insert(number, token.added);
                }
                return Ok(());
            }
            None => {}
            Some(other) => {
                let why = format!("field `added_tokens_decoder`: expected an object, found {other}");
                return Err(Error::request(why));
            }
        }
        let is_special = |text: &str| {
            let named = self.named.iter().filter_map(|(_, token)| token.as_ref());
            named.chain(&self.extra).any(|token| !token.is_default && token.added.content == text)
        };
        for (text, id) in added {
            let id = number(id).ok_or_else(|| {
                Error::request(format!("added_tokens.json: expected an id for `{text}`, found {id}"))
            })?;
            let special = is_special(text);
            self.decoder.insert(id, AddedToken::from(text.as_str(), special).normalized(!special));
        }
        for token in document.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
            let id = token.get("id").and_then(number).ok_or_else(|| {
                Error::request(format!("tokenizer.json: expected an added token with an id, found {token}"))
            })?;
            self.decoder.insert(id, Token::read(token, false).at("tokenizer.json, added tokens")?.added);
        }
        Ok(())
    }

    /// What a class is made by.
    pub(super) fn settings(&self) -> Settings {
        let unknown = self.named("unk_token").map(|token| token.added.content.clone());
        let flag = |key| self.config.get(key).and_then(Value::as_bool);
        Settings {
            add_prefix_space: flag("add_prefix_space"),
            legacy: flag("legacy").unwrap_or(false),
            unknown: unknown.unwrap_or_else(|| "None".to_owned()),
        }
    }

    /// A special token by its name.
    pub(super) fn named(&self, key: &str) -> Option<&Token> {
        self.named.iter().find(|(name, _)| name == key)?.1.as_ref()
    }

    /// Whether a file says that there is no such token.
    pub(super) fn says_none(&self, key: &str) -> bool {
        self.named.iter().any(|(name, token)| name == key && token.is_none())
    }

    /// Adds to `tokenizer` what it lacks: in the order of transformers, so that the same tokens get the same ids.
    ///
    /// # Errors
    /// If the library refuses the tokens.
    pub(super) fn add_to(&mut self, tokenizer: &mut tokenizers::Tokenizer, class: Class) -> Result<()> {
        let known: BTreeMap<u32, AddedToken> = tokenizer.get_added_tokens_decoder().into_iter().collect();
        let special = |text: &str| {
            self.named.iter().filter_map(|(_, token)| token.as_ref()).any(|token| token.added.content == text)
        };
        let mut texts: Vec<String> = known.values().map(|token| token.content.clone()).collect();
        let mut adding: Vec<AddedToken> = self.decoder.values().cloned().collect();
        texts.extend(adding.iter().map(|token| token.content.clone()));
        let named = self.named.iter().filter_map(|(_, token)| token.as_ref());
        for token in named.chain(&self.extra).filter(|token| !texts.contains(&token.added.content)) {
            if !adding.contains(&token.added) {
                adding.push(token.added.clone());
            }
        }
        for token in &mut adding {
            token.special = token.special || special(&token.content);
        }
        if class.adds_its_special_tokens_again() {
            let all = self.named.iter().filter_map(|(_, token)| token.as_ref()).chain(&self.extra);
            let again: Vec<AddedToken> =
                all.map(|token| AddedToken::from(token.added.content.as_str(), true)).collect();
            add(tokenizer, adding)?;
            add(tokenizer, again)?;
        } else {
            add(tokenizer, adding)?;
        }
        for (id, token) in &self.decoder {
            let given = tokenizer.token_to_id(&token.content);
            if given.is_some_and(|given| given != *id) {
                self.notes.push(format!(
                    "the repository gives `{}` the id {id}; it has {}, as in AutoTokenizer",
                    token.content,
                    given.unwrap_or_default()
                ));
            }
        }
        Ok(())
    }
}

fn add(tokenizer: &mut tokenizers::Tokenizer, tokens: Vec<AddedToken>) -> Result<()> {
    if tokens.is_empty() {
        return Ok(());
    }
    let added = tokenizer.add_tokens(tokens);
    added.map(|_| ()).map_err(|error| Error::request(format!("added tokens that cannot be added: {error}")))
}

/// An id of 32 bits.
pub(super) fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}
