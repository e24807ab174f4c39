//! Which modules an adapter's settings name, and with which rank and scale: PEFT's own rules.

use super::modules::{Kind, Modules};
use super::pattern::ends_in;
use super::settings::{Excluded, Settings, Targets};
use crate::error::{Error, Result};
use crate::model::Family;
use std::collections::BTreeMap;

/// The names that PEFT knows as embeddings when it keeps a tied head with them.
const EMBEDDINGS: [&str; 2] = ["embed_tokens", "lm_head"];

/// What a name is to the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Adapted,
    Excluded,
    No,
}

/// The modules that are adapted, and those of which the file holds copies.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) adapted: BTreeMap<String, Kind>,
    /// Module by module.
    pub(super) saved: Vec<String>,
    /// A tied head takes over what is done to the embedding.
    pub(super) together: bool,
    /// Entries of the settings that name no module.
    pub(super) idle: Vec<String>,
}

impl Scope {
    pub(super) fn new(settings: &Settings, modules: &Modules, family: Family, tied: bool) -> Result<Self> {
        let last = |name: &str| name.rsplit('.').next().map(str::to_owned).unwrap_or_default();
        let is_embedding = |name: &str| EMBEDDINGS.contains(&last(name).as_str());
        let tied = tied && settings.together;
        let saved_together = tied && settings.saved.iter().any(|name| is_embedding(name));
        let adapted_together = tied
            && !saved_together
            && match &settings.targets {
                Targets::Pattern(pattern) => EMBEDDINGS.iter().any(|name| pattern.finds(name)),
                Targets::Names(names) => names.iter().any(|name| is_embedding(name)),
                Targets::Usual | Targets::AllLinear => false,
            };
        let mut adapted = BTreeMap::new();
        let mut was_excluded = false;
        for (name, kind) in modules.iter() {
            let is_head = name == modules.head;
            let tied_here = adapted_together && (is_head || name == modules.embedding);
            let named = match tied_here {
                true => Named::Adapted,
                false => settings.named(name, kind, modules, family)?,
            };
            was_excluded |= named == Named::Excluded;
            if named != Named::Adapted {
                continue;
            }
            if kind == Kind::Other {
                return Err(Error::request(format!(
                    "field `target_modules`: it names `{name}`, which is neither a matrix nor an embedding"
                ))
                .hint("PEFT refuses it, too"));
            }
            adapted.insert(name.to_owned(), kind);
        }
        let mut saved = settings.saved_modules(modules);
        if saved_together {
            saved.retain(|name| *name != modules.head && *name != modules.embedding);
            saved.push(modules.embedding.clone());
        }
        if let Some(both) = saved.iter().find(|name| {
            let inside = format!("{name}.");
            adapted.keys().any(|adapted| adapted == *name || adapted.starts_with(&inside))
        }) {
            return Err(Error::request(format!(
                "field `modules_to_save`: `{both}` holds modules that are adapted, too, which is not supported"
            )));
        }
        let nested = |outer: &String| {
            let inside = format!("{outer}.");
            saved.iter().find(|inner| inner.starts_with(&inside)).map(|inner| (outer.clone(), inner.clone()))
        };
        if let Some((outer, inner)) = saved.iter().find_map(nested) {
            return Err(Error::request(format!(
                "field `modules_to_save`: `{inner}` lies in `{outer}`, which is not supported"
            )));
        }
        let together = saved_together || adapted_together;
        let idle = settings.idle(modules, &adapted);
        match adapted.is_empty() {
            false => Ok(Self { adapted, saved, together, idle }),
            true => Err(Error::request(match was_excluded {
                true => "the adapter's config excludes every module that it names, as PEFT finds, too",
                false => "field `target_modules`: it names no module of this base, as PEFT finds, too",
            })
            .hint("is this the base that the adapter was trained on?")),
        }
    }
}

impl Settings {
    fn named(&self, name: &str, kind: Kind, modules: &Modules, family: Family) -> Result<Named> {
        let spellings = modules.spellings(name);
        let any = |test: &dyn Fn(&str) -> bool| spellings.iter().any(|name| test(name));
        let is_excluded = match &self.excluded {
            Excluded::Pattern(pattern) => any(&|name| pattern.finds(name)),
            Excluded::Names(names) => any(&|name| names.iter().any(|ending| ends_in(name, ending))),
        };
        if is_excluded || any(&|name| self.saved_patterns.iter().any(|pattern| pattern.finds(name))) {
            return Ok(Named::Excluded);
        }
        let is_named = match &self.targets {
            Targets::AllLinear => matches!(kind, Kind::Linear | Kind::Columns) && name != modules.head,
            Targets::Pattern(pattern) => any(&|name| pattern.finds(name)),
            Targets::Names(names) => any(&|name| self.in_list(name, names)),
            Targets::Usual => {
                let usual: &[&str] = match family {
                    Family::Gpt2 => &["c_attn"],
                    Family::GptNeoX => &["query_key_value"],
                    Family::Olmo2 | Family::Phi3 => {
                        return Err(Error::request(format!(
                            "field `target_modules`: expected the adapted modules: PEFT knows none for {} models",
                            family.model_type()
                        )));
                    }
                    _ => &["q_proj", "v_proj"],
                };
                let names: Vec<String> = usual.iter().map(|name| (*name).to_owned()).collect();
                any(&|name| self.in_list(name, &names))
            }
        };
        Ok(if is_named { Named::Adapted } else { Named::No })
    }

    /// A name that a list gives in full is adapted whatever the layers; one of which it gives the end, in those layers.
    fn in_list(&self, name: &str, names: &[String]) -> bool {
        names.iter().any(|whole| whole == name)
            || (names.iter().any(|ending| ends_in(name, ending))
                && self
                    .layers
                    .as_ref()
                    .is_none_or(|layers| self.layer(name).is_some_and(|layer| layers.contains(&layer))))
    }

    /// The number of the layer that a module is in, as PEFT reads it out of its name.
    fn layer(&self, name: &str) -> Option<i64> {
        let parts: Vec<&str> = name.split('.').collect();
        let number = |place: usize| -> Option<i64> {
            let part = parts.get(place)?;
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            (is_number && place + 1 < parts.len()).then(|| part.parse().ok())?
        };
        if self.before_layers.is_empty() {
            return (2..parts.len()).find_map(number);
        }
        self.before_layers.iter().find_map(|pattern| {
            (1..parts.len()).filter(|place| pattern.finds(&parts[..*place].join("."))).find_map(number)
        })
    }

    /// The modules that `modules_to_save` names: by the end of their names, wherever a word begins.
    fn saved_modules(&self, modules: &Modules) -> Vec<String> {
        let is_saved = |name: &str| {
            let spellings = modules.spellings(name);
            spellings.iter().any(|name| self.saved.iter().any(|ending| name.ends_with(ending.as_str())))
        };
        modules.iter().map(|(name, _)| name).filter(|name| is_saved(name)).map(str::to_owned).collect()
    }

    fn idle(&self, modules: &Modules, adapted: &BTreeMap<String, Kind>) -> Vec<String> {
        let any = |test: &dyn Fn(&str) -> bool| {
            modules.iter().any(|(name, _)| modules.spellings(name).into_iter().any(test))
        };
        let mut idle = Vec::new();
        if let Targets::Names(names) = &self.targets {
            let lacking = names.iter().filter(|ending| !any(&|name| ends_in(name, ending)));
            idle.extend(lacking.map(|name| format!("`{name}` of `target_modules`")));
        }
        let lacking = self.saved.iter().filter(|ending| !any(&|name| name.ends_with(ending.as_str())));
        idle.extend(lacking.map(|name| format!("`{name}` of `modules_to_save`")));
        // The first pattern that finds a module counts, so a later one may find nothing that is left.
        let counts =
            |patterns: &mut dyn Iterator<Item = &super::pattern::Pattern>, key: &str| -> Vec<String> {
                let all: Vec<_> = patterns.collect();
                let used: Vec<Option<usize>> = adapted
                    .keys()
                    .map(|name| {
                        let spellings = modules.spellings(name);
                        all.iter().position(|pattern| spellings.iter().any(|name| pattern.finds(name)))
                    })
                    .collect();
                let lacking = all.iter().enumerate().filter(|(place, _)| !used.contains(&Some(*place)));
                lacking.map(|(_, pattern)| format!("`{pattern}` of `{key}`")).collect()
            };
        idle.extend(counts(&mut self.ranks.iter().map(|(pattern, _)| pattern), "rank_pattern"));
        idle.extend(counts(&mut self.alphas.iter().map(|(pattern, _)| pattern), "alpha_pattern"));
        idle
    }

    /// The rank of a module.
    pub(super) fn rank_of(&self, name: &str, modules: &Modules) -> usize {
        first(&self.ranks, name, modules).unwrap_or(self.rank)
    }

    /// The alpha of a module.
    pub(super) fn alpha_of(&self, name: &str, modules: &Modules) -> f64 {
        first(&self.alphas, name, modules).unwrap_or(self.alpha)
    }
}

fn first<T: Copy>(patterns: &[(super::pattern::Pattern, T)], name: &str, modules: &Modules) -> Option<T> {
    let spellings = modules.spellings(name);
    let found = patterns.iter().find(|(pattern, _)| spellings.iter().any(|name| pattern.finds(name)));
    found.map(|(_, number)| *number)
}
