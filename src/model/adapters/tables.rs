//! Trained copies, and the tables of tokens: whether all of them is there, and how many tokens they have.

use super::plan::{PREFIX, Plan, Sorting};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

impl Sorting<'_> {
    /// Every parameter of a module that `modules_to_save` names must be there.
    pub(super) fn copies(&self, plan: &Plan) -> Result<()> {
        let (head, embedding) = (self.head(), self.embedding());
        let both = (plan.copies.get(&embedding), plan.replaced.get(&head));
        if let (true, (Some(copy), Some(other))) = (self.scope.together, both)
            && copy != other
        {
            return Err(Error::request(format!(
                "`ensure_weight_tying`: the copy of `{head}` is not that of `{embedding}`"
            ))
            .at(self.name));
        }
        let own = self.base.parameters().iter().map(|parameter| parameter.name().to_owned());
        let all: BTreeSet<String> = own.chain([head]).collect();
        for parameter in all {
            let module = parameter.rsplit_once('.').map_or("", |(module, _)| module);
            if self.saved(module) && !plan.copies.contains_key(&parameter) {
                return Err(Error::request(format!(
                    "expected a trained copy of `{parameter}`, which `modules_to_save` names, found none"
                ))
                .at(self.name));
            }
        }
        Ok(())
    }

    /// The number of tokens after the adapter, and the shapes of what stands in the place of the base's own.
    pub(super) fn vocabulary(&self, plan: &Plan) -> Result<usize> {
        let config = self.base.config();
        let tables = [self.embedding(), self.head()];
        let mut sizes: BTreeMap<usize, String> = BTreeMap::new();
        for (name, array) in plan.replaced.iter().chain(&plan.copies) {
            if tables.contains(name) {
                match array.dims.as_slice() {
                    [rows, width] if *width == config.d_model && *rows > 0 => {
                        sizes.entry(*rows).or_insert_with(|| name.clone());
                        continue;
                    }
                    _ => {}
                }
            }
            let expected = self.base.parameters().get(name).map(|parameter| parameter.dims());
            let expected = expected.unwrap_or_else(|| vec![config.vocabulary, config.d_model]);
            if array.dims != expected {
                return Err(Error::request(format!(
                    "tensor of `{name}`: expected shape {expected:?}, found {:?}",
                    array.dims
                ))
                .at(self.name));
            }
        }
        let sizes: Vec<(usize, String)> = sizes.into_iter().collect();
        match sizes.as_slice() {
            [] => Ok(config.vocabulary),
            [(size, _)] if *size == config.vocabulary => Ok(*size),
            [(size, first)] => {
                let has = |name: &String| plan.replaced.contains_key(name) || plan.copies.contains_key(name);
                let shared = config.tied && tables.iter().any(|name| plan.replaced.contains_key(name));
                match shared || self.scope.together || tables.iter().all(has) {
                    true => Ok(*size),
                    false => Err(Error::request(format!(
                        "`{first}` has {size} tokens, the base {}, and the file holds no other table of so many: \
                         embedding and head must both be there",
                        config.vocabulary
                    ))
                    .hint("save the adapter with save_embedding_layers=True")
                    .at(self.name)),
                }
            }
            [(one, first), (other, second), ..] => Err(Error::request(format!(
                "expected embedding and head of one number of tokens, found {one} of `{first}` and {other} of \
                 `{second}`"
            ))
            .at(self.name)),
        }
    }

    /// The ids of the rows that were trained.
    pub(super) fn rows(&self, plan: &mut Plan) -> Result<()> {
        let config = self.base.config();
        let field = "trainable_token_indices";
        let mut named: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (ending, ids) in &self.settings.tokens {
            let places: Vec<&str> = match ending {
                None => vec![&self.modules.embedding],
                Some(ending) => self
                    .modules
                    .iter()
                    .map(|(name, _)| name)
                    .filter(|name| {
                        self.modules.spellings(name).iter().any(|name| name.ends_with(ending.as_str()))
                    })
                    .collect(),
            };
            if places.is_empty() {
                return Err(Error::request(format!(
                    "field `{field}`: it names `{}`, which is no module of this base",
                    ending.as_deref().unwrap_or_default()
                )));
            }
            for place in places {
                let wrong = |why: String| Error::request(format!("field `{field}`: {why}"));
                if place != self.modules.embedding && place != self.modules.head {
                    return Err(wrong(format!("`{place}` is neither the embedding nor the head")));
                }
                let is_taken = self.scope.adapted.contains_key(place) || self.saved(place);
                if is_taken || (config.tied && (self.scope.together || self.saved(&self.modules.head))) {
                    return Err(wrong(format!(
                        "`{place}` is adapted in another way, too, which is not supported"
                    )));
                }
                if let Some(id) = ids.iter().find(|id| **id >= plan.vocabulary) {
                    return Err(wrong(format!("expected ids below {}, found {id}", plan.vocabulary)));
                }
                if ids.iter().collect::<BTreeSet<_>>().len() != ids.len() {
                    return Err(wrong("expected every id once".to_owned()));
                }
                named.insert(place.to_owned(), ids.clone());
            }
        }
        // A tied head follows the embedding, and has no rows of its own.
        let of_head = named.get(&self.modules.head);
        if config.tied && of_head.is_some() && of_head == named.get(&self.modules.embedding) {
            named.remove(&self.modules.head);
        }
        let extra: Vec<String> =
            plan.rows.keys().filter(|module| !named.contains_key(*module)).cloned().collect();
        for module in extra {
            plan.rows.remove(&module);
            plan.left_out.push(format!("{PREFIX}{module}.token_adapter.trainable_tokens_delta"));
        }
        for (module, ids) in named {
            let expected = [ids.len(), config.d_model];
            match plan.rows.get_mut(&module) {
                Some(rows) if rows.rows.dims == expected => rows.ids = ids,
                found => {
                    let found = found.map_or("nothing".to_owned(), |rows| format!("{:?}", rows.rows.dims));
                    return Err(Error::request(format!(
                        "field `{field}`: expected {expected:?} trained numbers of `{module}`, found {found}"
                    ))
                    .at(self.name));
                }
            }
        }
        Ok(())
    }
}
