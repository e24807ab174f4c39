//! Which tokenizer `AutoTokenizer` (transformers 5) makes of a repository.
//!
//! Some classes take only the vocabulary, the merges and the post-processor out of `tokenizer.json`, and have a
//! normaliser, a pre-tokeniser and a decoder of their own. Those of the families that the decoder runs are made here in
//! the same way; every other class that transformers knows is refused by name. A class that it does not know is the
//! plain one, which reads `tokenizer.json` as it stands.

use crate::error::{Error, Result};
use serde_json::{Map, Value, json};

/// How a class makes its tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// As `tokenizer.json` says.
    Plain,
    /// `Metaspace`, with the fallback to bytes.
    Llama,
    /// Bytes, split as GPT-2 splits.
    Gpt2,
    /// As GPT-2, normalised, and without any post-processor.
    GptNeoX,
    /// Bytes, split as Qwen2 splits, normalised.
    Qwen2,
    /// Spaces as `▁`, with the fallback to bytes.
    Gemma,
}

/// What decides the class.
pub(super) struct Signs<'a> {
    /// `model_type` of `config.json`.
    pub(super) family: Option<&'a str>,
    /// `tokenizer_class` of `tokenizer_config.json`.
    pub(super) own: Option<&'a str>,
    /// `tokenizer_class` of `config.json`.
    pub(super) beside: Option<&'a str>,
    /// Whether `tokenizer_config.json` names code of its own.
    pub(super) code: bool,
    /// Whether `tokenizer.json` works on bytes.
    pub(super) bytes: bool,
}

/// What a family is registered with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Registered {
    /// The plain class, or that of Mistral, which is the plain one where there is no `tekken.json`.
    Plain,
    Mistral,
    Class(Class),
}

fn registered(family: &str) -> Option<Registered> {
    Some(match family {
        "gpt2" => Registered::Class(Class::Gpt2),
        "gpt_neox" => Registered::Class(Class::GptNeoX),
        "qwen2" | "qwen2_moe" | "qwen3" | "qwen3_moe" => Registered::Class(Class::Qwen2),
        "gemma" | "gemma2" | "gemma3" | "gemma3_text" => Registered::Class(Class::Gemma),
        "mistral" | "mixtral" | "ministral" | "mistral3" | "ministral3" => Registered::Mistral,
        "phi3" | "olmo2" | "olmo3" | "granite" | "granitemoe" => Registered::Plain,
        _ => return None,
    })
}

/// The families whose repositories name a wrong class so often that transformers does not believe them.
fn is_not_believed(family: Option<&str>) -> bool {
    matches!(family, Some("qwen2" | "phi3"))
}

/// What a name stands for; none if transformers does not know it.
fn named(name: &str) -> Result<Option<Class>> {
    let name = name.strip_suffix("Fast").unwrap_or(name);
    Ok(Some(match name {
        "PreTrainedTokenizer" | "TokenizersBackend" | "PythonBackend" | "BloomTokenizer" => Class::Plain,
        "LlamaTokenizer" => Class::Llama,
        "GPT2Tokenizer" => Class::Gpt2,
        "GPTNeoXTokenizer" => Class::GptNeoX,
        "Qwen2Tokenizer" => Class::Qwen2,
        "GemmaTokenizer" => Class::Gemma,
        _ if OTHERS.contains(&name) => {
            return Err(Error::request(format!(
                "field `tokenizer_class`: `{name}` is not supported: it makes a tokenizer of its own"
            ))
            .hint(
                "load the repository with transformers, and write its `backend_tokenizer` to tokenizer.json \
                 beside `\"tokenizer_class\": \"PreTrainedTokenizerFast\"`",
            ));
        }
        _ => return Ok(None),
    }))
}

impl Class {
    /// The class of a repository.
    ///
    /// # Errors
    /// If it is one that is not made here, or code of the repository.
    pub(super) fn of(signs: &Signs<'_>) -> Result<Self> {
        let family = signs.family.and_then(registered);
        let given = signs.own.or(signs.beside);
        let base = given.map(|name| name.strip_suffix("Fast").unwrap_or(name));
        if signs.code {
            let known = signs.own.map(named).transpose()?.flatten().is_some();
            if !known && family.is_none() {
                return Err(Error::request(
                    "field `auto_map`: the tokenizer is code of the repository, which is not run",
                ));
            }
        } else {
            let llama = base == Some("LlamaTokenizer") && signs.bytes;
            if llama && family != Some(Registered::Mistral) && !is_not_believed(signs.family) {
                return Ok(Self::Plain);
            }
            if let (Some(given), Some(base), Some(family)) = (given, base, family) {
                match family {
                    Registered::Plain | Registered::Mistral => return Ok(Self::Plain),
                    Registered::Class(class) if class.name() == base => {}
                    Registered::Class(class) if is_not_believed(signs.family) => return Ok(class),
                    Registered::Class(_) => return Ok(named(given)?.unwrap_or(Self::Plain)),
                }
            }
        }
        match (given, family) {
            (Some(given), _) => Ok(named(given)?.unwrap_or(Self::Plain)),
            (None, Some(Registered::Class(class))) => Ok(class),
            (None, _) => Ok(Self::Plain),
        }
    }

    /// What transformers calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "TokenizersBackend",
            Self::Llama => "LlamaTokenizer",
            Self::Gpt2 => "GPT2Tokenizer",
            Self::GptNeoX => "GPTNeoXTokenizer",
            Self::Qwen2 => "Qwen2Tokenizer",
            Self::Gemma => "GemmaTokenizer",
        }
    }

    /// The special token that the class has where no file names one.
    pub(super) fn default_token(self, key: &str) -> Option<&'static str> {
        const END: &str = "<|endoftext|>";
        match (self, key) {
            (Self::Llama | Self::Gemma, "unk_token") => Some("<unk>"),
            (Self::Llama, "bos_token") => Some("<s>"),
            (Self::Llama, "eos_token") => Some("</s>"),
            (Self::Gpt2 | Self::GptNeoX, "unk_token" | "bos_token" | "eos_token") => Some(END),
            (Self::GptNeoX, "pad_token") => Some("<|padding|>"),
            (Self::Qwen2, "unk_token" | "eos_token" | "pad_token") => Some(END),
            (Self::Gemma, "bos_token") => Some("<bos>"),
            (Self::Gemma, "eos_token") => Some("<eos>"),
            (Self::Gemma, "pad_token") => Some("<pad>"),
            (Self::Gemma, "mask_token") => Some("<mask>"),
            _ => None,
        }
    }

    /// Whether a padding token is left to what `tokenizer.json` pads with.
    pub(super) fn takes_the_padding_token(self) -> bool {
        matches!(self, Self::Plain | Self::Llama)
    }

    /// Whether all special tokens are added once more, as plain ones.
    pub(super) fn adds_its_special_tokens_again(self) -> bool {
        self == Self::Qwen2
    }

    /// `document` as the class makes it again: nothing of it but vocabulary, merges and post-processor, and no added
    /// token; none where it is read as it stands.
    ///
    /// # Errors
    /// If its model is not of the kind that the class needs.
    pub(super) fn rebuilt(self, document: &Value, settings: &Settings) -> Result<Option<Value>> {
        if self == Self::Plain {
            return Ok(None);
        }
        let model = document.get("model").and_then(Value::as_object);
        let (kind, vocabulary, merges) = match model {
            Some(model) => (model.get("type"), model.get("vocab"), model.get("merges")),
            None => (None, None, None),
        };
        let (Some(vocabulary), Some(merges)) = (vocabulary.filter(|found| found.is_object()), merges) else {
            let found = kind.map_or("none".to_owned(), Value::to_string);
            return Err(Error::request(format!(
                "field `model`: `{}` takes the vocabulary and merges of a BPE, found {found}",
                self.name()
            ))
            .hint(
                "name PreTrainedTokenizerFast as `tokenizer_class` if tokenizer.json is right as it stands",
            ));
        };
        let mut bpe = json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        });
        let space = settings.add_prefix_space;
        let bytes =
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        let (normalizer, pre_tokenizer, decoder) = match self {
            Self::Plain | Self::Gpt2 => (Value::Null, by_bytes(space.unwrap_or(false), true), bytes),
            Self::GptNeoX => (json!({"type": "NFC"}), by_bytes(space.unwrap_or(false), true), bytes),
            Self::Qwen2 => {
                let split = json!({
                    "type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": false,
                });
                let both = [split, by_bytes(space.unwrap_or(false), false)];
                (json!({"type": "NFC"}), json!({"type": "Sequence", "pretokenizers": both}), bytes)
            }
            Self::Llama => {
                let space = space.unwrap_or(true);
                let scheme = match (space, settings.legacy) {
                    (false, _) => "never",
                    (true, true) => "always",
                    (true, false) => "first",
                };
                let metaspace = json!({
                    "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false,
                });
                let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
                (Value::Null, metaspace, from_pieces(space.then_some(strip)))
            }
            Self::Gemma => {
                let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
                let split = json!({
                    "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false,
                });
                (replace, split, from_pieces(None))
            }
        };
        if matches!(self, Self::Llama | Self::Gemma) {
            bpe["continuing_subword_prefix"] = Value::Null;
            bpe["end_of_word_suffix"] = Value::Null;
            bpe["fuse_unk"] = json!(true);
            bpe["byte_fallback"] = json!(true);
        }
        if self == Self::Gemma {
            bpe["unk_token"] = json!(settings.unknown);
        }
        bpe["vocab"] = vocabulary.clone();
        bpe["merges"] = merges.clone();
        let post_processor = match self {
            Self::GptNeoX => Value::Null,
            _ => document.get("post_processor").cloned().unwrap_or_default(),
        };
        Ok(Some(json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder, "model": bpe,
        })))
    }
}

/// What of `tokenizer_config.json` a class is made by.
pub(super) struct Settings {
    pub(super) add_prefix_space: Option<bool>,
    pub(super) legacy: bool,
    /// The token for what is not known.
    pub(super) unknown: String,
}

fn by_bytes(space: bool, pattern: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": pattern})
}

fn from_pieces(last: Option<Value>) -> Value {
    let replace = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
    let mut steps = vec![replace, json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    steps.extend(last);
    json!({"type": "Sequence", "decoders": steps})
}

/// How Qwen2 splits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How Mistral splits where `fix_mistral_regex` asks for it.
pub(super) const MISTRAL: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The object whose keys are `document`'s own `pre_tokenizer`, with Mistral's way of splitting before it.
pub(super) fn split_as_mistral(document: &mut Map<String, Value>) {
    let split =
        json!({"type": "Split", "pattern": {"Regex": MISTRAL}, "behavior": "Isolated", "invert": false});
    let current = document.remove("pre_tokenizer").unwrap_or_default();
    let kind = current.get("type").and_then(Value::as_str).map(str::to_owned);
    let steps = match (kind.as_deref(), current.get("pretokenizers").and_then(Value::as_array)) {
        (Some("Sequence"), Some(steps)) => [split].into_iter().chain(steps.iter().skip(1).cloned()).collect(),
        (Some("Metaspace"), _) => vec![split, by_bytes(false, false)],
        _ => vec![split, current],
    };
    document.insert("pre_tokenizer".to_owned(), json!({"type": "Sequence", "pretokenizers": steps}));
}

/// The classes of transformers that are not made here.
const OTHERS: &[&str] = &[
    "AlbertTokenizer",
    "BartTokenizer",
    "BarthezTokenizer",
    "BartphoTokenizer",
    "BertGenerationTokenizer",
    "BertJapaneseTokenizer",
    "BertTokenizer",
    "BertweetTokenizer",
    "BigBirdTokenizer",
    "BioGptTokenizer",
    "BlenderbotSmallTokenizer",
    "BlenderbotTokenizer",
    "ByT5Tokenizer",
    "CLIPTokenizer",
    "CTRLTokenizer",
    "CamembertTokenizer",
    "CanineTokenizer",
    "ClvpTokenizer",
    "CodeGenTokenizer",
    "CodeLlamaTokenizer",
    "CohereTokenizer",
    "ConvBertTokenizer",
    "CpmAntTokenizer",
    "CpmTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DPRReaderTokenizer",
    "DebertaTokenizer",
    "DebertaV2Tokenizer",
    "DiaTokenizer",
    "DistilBertTokenizer",
    "EsmTokenizer",
    "EsmcTokenizer",
    "FNetTokenizer",
    "FSMTTokenizer",
    "FastSpeech2ConformerTokenizer",
    "FlaubertTokenizer",
    "FunnelTokenizer",
    "GPTNeoXJapaneseTokenizer",
    "GPTSw3Tokenizer",
    "HerbertTokenizer",
    "LEDTokenizer",
    "LasrTokenizer",
    "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",
    "LayoutXLMTokenizer",
    "LukeTokenizer",
    "LxmertTokenizer",
    "M2M100Tokenizer",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "MLukeTokenizer",
    "MPNetTokenizer",
    "MarianTokenizer",
    "MarkupLMTokenizer",
    "MgpstrTokenizer",
    "MistralCommonBackend",
    "MobileBertTokenizer",
    "MvpTokenizer",
    "MyT5Tokenizer",
    "NllbTokenizer",
    "NougatTokenizer",
    "OpenAIGPTTokenizer",
    "PLBartTokenizer",
    "ParakeetTokenizer",
    "PegasusTokenizer",
    "PerceiverTokenizer",
    "PhobertTokenizer",
    "Pop2PianoTokenizer",
    "ProphetNetTokenizer",
    "Qwen3_5Tokenizer",
    "RagTokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "RoCBertTokenizer",
    "RoFormerTokenizer",
    "RobertaTokenizer",
    "SeamlessM4TTokenizer",
    "Siglip2Tokenizer",
    "SiglipTokenizer",
    "Speech2TextTokenizer",
    "SpeechT5Tokenizer",
    "SplinterTokenizer",
    "SqueezeBertTokenizer",
    "T5Tokenizer",
    "TapasTokenizer",
    "Tipsv2Tokenizer",
    "UdopTokenizer",
    "VideoPrismTokenizer",
    "VitsTokenizer",
    "Wav2Vec2CTCTokenizer",
    "Wav2Vec2PhonemeCTCTokenizer",
    "WhisperTokenizer",
    "XGLMTokenizer",
    "XLMRobertaTokenizer",
    "XLMTokenizer",
    "XLNetTokenizer",
];
