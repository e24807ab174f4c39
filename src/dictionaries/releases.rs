//! Dictionaries by the names that SAELens gives them: `release/sae_id`.
//!
//! SAELens keeps a table, `pretrained_saes.yaml`, from releases to repositories of the hub and from ids to folders. It is
//! long and changes with every version, so it is read where it lies: `pretrained_saes.yaml:release/sae_id`. A few
//! releases whose ids are the folders themselves are known without it. What the table overrides in a configuration
//! (that GPT-2 was loaded with centred weights, which the files themselves do not say) holds here, too.

use super::dictionary::Dictionary;
use super::formats;
use super::reading::Declared;
use crate::error::{At, Error, Result, nearest};
use crate::foreign;
use crate::model::hub;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The largest table that is read. That of SAELens 6.54 holds 1.5 MB.
const LIMIT: u64 = 64 << 20;

/// Where a dictionary lies, and what is said of it there.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    folder: String,
    declared: Declared,
}

impl Dictionary {
    /// Reads a dictionary by a name: a folder, a folder of the hub (`owner/name[@revision]/sub/folder`), or SAELens's
    /// `release/sae_id`, of its table (`pretrained_saes.yaml:release/sae_id`) or of the few that are known without.
    ///
    /// # Errors
    /// As [`Dictionary::load_as`], or if there is none of that name.
    pub fn find(name: &str, declared: &Declared) -> Result<Self> {
        if Path::new(name).is_dir() {
            return Self::load_as(Path::new(name), declared);
        }
        let place = match in_table(name)? {
            Some(place) => place,
            None => known(name).unwrap_or(Place { folder: name.to_owned(), declared: Declared::default() }),
        };
        let folder = hub::find_folder(&place.folder, &formats::files()).map_err(|error| {
            error.hint(
                "pass a folder, one of the hub as `owner/name/sub/folder`, or an entry of SAELens's table as \
                 `pretrained_saes.yaml:release/sae_id`",
            )
        })?;
        let declared =
            Declared { transcoder: declared.transcoder || place.declared.transcoder, ..place.declared };
        Self::load_as(&folder, &declared)
    }
}

/// Releases that need no table: their ids are folders.
fn known(name: &str) -> Option<Place> {
    let (release, id) = name.split_once('/')?;
    let centred = || {
        let kwargs = json!({ "center_writing_weights": true });
        [("model_from_pretrained_kwargs".to_owned(), kwargs)].into_iter().collect()
    };
    let (repository, transcoder, overrides) = match release {
        "gpt2-small-res-jb" => ("jbloom/GPT2-Small-SAEs-Reformatted".to_owned(), false, centred()),
        "gpt2-small-res-jb-feature-splitting" => {
            ("jbloom/GPT2-Small-Feature-Splitting-Experiment-Layer-8".to_owned(), false, centred())
        }
        _ if release.starts_with("gemma-scope-") && !release.ends_with("-canonical") => {
            (format!("google/{release}"), release.ends_with("-transcoders"), Map::new())
        }
        _ => return None,
    };
    Some(Place {
        folder: format!("{repository}/{id}"),
        declared: Declared { transcoder, overrides, ..Declared::default() },
    })
}

/// One release of a table.
#[derive(Default)]
struct Release {
    repository: String,
    /// Who reads its files; nothing for those of SAELens.
    reader: Option<String>,
    overrides: Map<String, Value>,
    /// The folder of each id, and the factor that its inputs are scaled by.
    entries: BTreeMap<String, (String, Option<f64>)>,
}

/// What `FILE.yaml:release/sae_id` names.
fn in_table(name: &str) -> Result<Option<Place>> {
    let Some((file, rest)) = name.split_once(".yaml:").or_else(|| name.split_once(".yml:")) else {
        return Ok(None);
    };
    let extension = &name[file.len()..name.len() - rest.len() - 1];
    let path = format!("{file}{extension}");
    let text = foreign::text(Path::new(&path), LIMIT)?;
    let (release, id) = rest.split_once('/').ok_or_else(|| {
        Error::request(format!("expected release/sae_id after the table, found `{rest}`")).at(&path)
    })?;
    entry(&text, release, id).at(path).map(Some)
}

/// An entry of a table's text.
fn entry(text: &str, release: &str, id: &str) -> Result<Place> {
    let found = read_release(text, release)?;
    let Some((folder, factor)) = found.entries.get(id) else {
        let error = Error::request(format!("release `{release}` has no id `{id}`"));
        let names: Vec<&str> = found.entries.keys().map(String::as_str).collect();
        return Err(match nearest(id, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("the first are {}", names[..names.len().min(5)].join(", "))),
        });
    };
    let transcoder = match found.reader.as_deref() {
        None | Some("null" | "sparsify" | "dictionary_learning_1" | "gemma_2") => false,
        Some("gemma_2_transcoder") => true,
        Some(other) => {
            return Err(Error::request(format!(
                "release `{release}` is read by SAELens's `{other}`, which is not supported"
            )));
        }
    };
    Ok(Place {
        folder: format!("{}/{folder}", found.repository),
        declared: Declared { transcoder, overrides: found.overrides, norm_scaling_factor: *factor },
    })
}

/// Reads one release of a table: of YAML just what such a table is written in, mappings by indentation and a list of
/// entries. Whatever else stands in the release is refused.
fn read_release(text: &str, release: &str) -> Result<Release> {
    let mut lines = text.lines().enumerate().skip_while(|(_, line)| key_of(line) != Some((0, release, "")));
    if lines.next().is_none() {
        let names =
            text.lines().filter_map(key_of).filter(|(depth, _, value)| *depth == 0 && value.is_empty());
        let names: Vec<&str> = names.map(|(_, name, _)| name).collect();
        let error = Error::request(format!("the table has no release `{release}`"));
        return Err(match nearest(release, names) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("releases stand at the start of a line"),
        });
    }
    let mut found = Release::default();
    let (mut section, mut nested) = (String::new(), String::new());
    let (mut id, mut folder, mut factor) = (None, None, None);
    let mut done = |id: &mut Option<String>, folder: &mut Option<String>, factor: &mut Option<f64>| {
        if let (Some(id), Some(folder)) = (id.take(), folder.take()) {
            found.entries.insert(id, (folder, factor.take()));
        }
    };
    let mut settings: Vec<(String, String)> = Vec::new();
    for (number, line) in lines {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if !line.starts_with(' ') && !line.starts_with('-') {
            break;
        }
        let strange = || Error::request(format!("line {}: `{content}` is not understood", number + 1));
        let begins = content.starts_with("- ");
        let (depth, key, value) = key_of(line).ok_or_else(strange)?;
        match (depth, begins) {
            (2, false) => {
                (section, nested) = (key.to_owned(), String::new());
                settings.push((key.to_owned(), value.to_owned()));
            }
            (_, true) if section == "saes" => {
                done(&mut id, &mut folder, &mut factor);
                match key {
                    "id" => id = Some(value.to_owned()),
                    "path" => folder = Some(value.to_owned()),
                    _ => {}
                }
            }
            _ if section == "saes" => match key {
                "id" => id = Some(value.to_owned()),
                "path" => folder = Some(value.to_owned()),
                "norm_scaling_factor" => factor = Some(value.parse().map_err(|_| strange())?),
                "l0" | "variance_explained" | "neuronpedia" => {}
                _ => return Err(strange()),
            },
            (4, false) if section == "config_overrides" => {
                nested = if value.is_empty() { key.to_owned() } else { String::new() };
                if nested.is_empty() {
                    found_override(&mut settings, key, value);
                }
            }
            (6, false) if section == "config_overrides" && !nested.is_empty() => {
                found_override(&mut settings, &format!("{nested}.{key}"), value);
            }
            _ if section == "links" => {}
            _ => return Err(strange()),
        }
    }
    done(&mut id, &mut folder, &mut factor);
    for (key, value) in settings {
        match key.as_str() {
            "repo_id" => found.repository = value,
            "conversion_func" => found.reader = Some(value),
            "model" | "links" | "saes" | "config_overrides" => {}
            other => match other.strip_prefix("override ") {
                Some(name) => set(&mut found.overrides, name, scalar(&value)),
                None => {
                    return Err(Error::request(format!("release `{release}`: key `{other}` is not known")));
                }
            },
        }
    }
    if found.repository.is_empty() {
        return Err(Error::request(format!("release `{release}` names no `repo_id`")));
    }
    Ok(found)
}

fn found_override(settings: &mut Vec<(String, String)>, key: &str, value: &str) {
    settings.push((format!("override {key}"), value.to_owned()));
}

/// Sets `outer.inner` or `outer`.
fn set(overrides: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            overrides.insert(name.to_owned(), value);
        }
        Some((outer, inner)) => {
            let outer = overrides.entry(outer).or_insert_with(|| json!({}));
            if let Some(outer) = outer.as_object_mut() {
                outer.insert(inner.to_owned(), value);
            }
        }
    }
}

/// A value as YAML reads it.
fn scalar(text: &str) -> Value {
    match text {
        "null" | "~" | "" => Value::Null,
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        other => {
            serde_json::from_str::<serde_json::Number>(other).map_or_else(|_| json!(other), Value::Number)
        }
    }
}

/// Indentation, key and value of a line; a dash before the key counts as indentation.
fn key_of(line: &str) -> Option<(usize, &str, &str)> {
    let content = line.trim_start_matches(' ');
    let content = content.strip_prefix("- ").unwrap_or(content);
    let depth = line.len() - content.len();
    let (key, value) = match content.strip_suffix(':') {
        Some(key) => (key, ""),
        None => content.split_once(": ")?,
    };
    Some((depth, unquoted(key.trim()), unquoted(value.trim())))
}

fn unquoted(text: &str) -> &str {
    let within = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
first-release:
  conversion_func: null
  model: gpt2-small
  repo_id: owner/first
  saes:
  - id: blocks.0.hook_resid_pre
    path: v5_layer_0
second-release:
  config_overrides:
    model_from_pretrained_kwargs:
      center_writing_weights: true
    normalize_activations: expected_average_only_in
  conversion_func: null
  links:
    model: https://example.org/gpt2
  model: gpt2-small
  repo_id: 'owner/second'
  saes:
  - id: blocks.0.hook_mlp_out
    l0: 10.0
    neuronpedia: gpt2-small/0
    norm_scaling_factor: 1.5
    path: 'group:v1'
    variance_explained: 0.9
  - id: blocks.1.hook_mlp_out
    path: 17
scope:
  conversion_func: gemma_2_transcoder
  repo_id: google/scope
  saes:
  - path: layer_0/width_16k/average_l0_76
    id: layer_0/width_16k/canonical
other:
  conversion_func: llama_scope
  repo_id: owner/other
  saes:
  - id: a
    path: b
odd:
  repo_id: owner/odd
  encrypted: yes
  saes:
  - id: a
    path: b
";

    #[test]
    fn a_table_says_where_a_release_lies_and_what_it_overrides() {
        let first = entry(TABLE, "first-release", "blocks.0.hook_resid_pre").unwrap();
        assert_eq!(
            first,
            Place { folder: "owner/first/v5_layer_0".to_owned(), declared: Declared::default() }
        );
        let second = entry(TABLE, "second-release", "blocks.0.hook_mlp_out").unwrap();
        assert_eq!(second.folder, "owner/second/group:v1");
        assert_eq!(second.declared.norm_scaling_factor, Some(1.5));
        assert_eq!(
            Value::Object(second.declared.overrides),
            json!({
                "model_from_pretrained_kwargs": { "center_writing_weights": true },
                "normalize_activations": "expected_average_only_in",
            })
        );
        let next = entry(TABLE, "second-release", "blocks.1.hook_mlp_out").unwrap();
        assert_eq!((next.folder.as_str(), next.declared.norm_scaling_factor), ("owner/second/17", None));
        let scope = entry(TABLE, "scope", "layer_0/width_16k/canonical").unwrap();
        assert!(scope.declared.transcoder && scope.folder.ends_with("average_l0_76"));
    }

    #[test]
    fn what_a_table_lacks_or_nobody_reads_is_refused_by_name() {
        let complaint = |release: &str, id: &str| entry(TABLE, release, id).unwrap_err().to_string();
        assert!(complaint("frist-release", "a").contains("did you mean `first-release`"));
        assert!(complaint("first-release", "blocks.1.hook_resid_pre").contains("blocks.0.hook_resid_pre"));
        assert!(complaint("other", "a").contains("`llama_scope`"));
        assert!(complaint("odd", "a").contains("`encrypted` is not known"));
    }

    #[test]
    fn some_releases_need_no_table() {
        let scope = known("gemma-scope-2b-pt-transcoders/layer_0/width_16k/average_l0_76").unwrap();
        assert_eq!(scope.folder, "google/gemma-scope-2b-pt-transcoders/layer_0/width_16k/average_l0_76");
        assert!(scope.declared.transcoder);
        let jb = known("gpt2-small-res-jb/blocks.8.hook_resid_pre").unwrap();
        assert_eq!(jb.folder, "jbloom/GPT2-Small-SAEs-Reformatted/blocks.8.hook_resid_pre");
        assert!(jb.declared.overrides.contains_key("model_from_pretrained_kwargs"));
        assert_eq!(known("gemma-scope-2b-pt-res-canonical/layer_0"), None);
        assert_eq!(known("owner/name"), None);
    }
}
