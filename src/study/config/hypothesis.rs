//! `[[hypothesis]]`: what is claimed, declared before measuring.

use super::reference::Reference;
use crate::error::{At, Error, Result};
use crate::evaluation::REFUSAL_LOG_ODDS;
use crate::experiments;
use crate::study::parse;
use crate::tasks::Suite;
use toml::{Table, Value};

/// A declared hypothesis, with the references in it understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// As it is written, but for the name, which is never empty.
    pub declared: experiments::Hypothesis,
    /// The variant whose forward pass is edited.
    pub receiver: Reference,
    /// The variant that the edit takes from, if it takes from one.
    pub donor: Option<Reference>,
    /// The suite on which the claim is made.
    pub suite: Suite,
}

impl Hypothesis {
    /// Reads one section; `set = { each = [3, 14] }` stands for one hypothesis a feature.
    pub(super) fn read(mut table: Table) -> Result<Vec<Self>> {
        if !table.contains_key("name") {
            let part = |key: &str| table.get(key).and_then(Value::as_str).unwrap_or("?");
            let name = format!("{} in {}", part("set"), part("receiver"));
            table.insert("name".to_owned(), Value::String(name));
        }
        each(table)?
            .into_iter()
            .map(|table| {
                let declared: experiments::Hypothesis =
                    parse::section(Value::Table(table), "[[hypothesis]]")?;
                let place = place(&declared.name);
                Self::understand(declared).at(place)
            })
            .collect()
    }

    fn understand(declared: experiments::Hypothesis) -> Result<Self> {
        let receiver = Reference::try_from(declared.receiver.clone()).at("field `receiver`")?;
        let donor = declared.edit.donor().map(|donor| Reference::try_from(donor.to_owned())).transpose();
        let donor = donor.at("field `edit`")?;
        let suite = Suite::parse(&declared.suite).at("field `suite`")?;
        check_endpoint(&suite, declared.endpoint.as_deref()).at("field `endpoint`")?;
        Ok(Self { declared, receiver, donor, suite })
    }

    /// Its name in tables and messages.
    pub fn name(&self) -> &str {
        &self.declared.name
    }

    /// Where it stands, for messages.
    pub(super) fn place(&self) -> String {
        place(self.name())
    }

    /// The hypothesis with its variants under the names that tables give them.
    pub(in crate::study) fn with_names(
        &self,
        receiver: String,
        donor: Option<String>,
    ) -> experiments::Hypothesis {
        let mut named = self.declared.clone();
        named.receiver = receiver;
        if let Some(donor) = donor {
            named.edit = named.edit.with_donor(&donor);
        }
        named
    }
}

/// A screen as its hypotheses, one a feature; anything else as it is.
fn each(mut table: Table) -> Result<Vec<Table>> {
    let screened = table.get_mut("set").and_then(Value::as_table_mut).and_then(|set| set.remove("each"));
    let Some(screened) = screened else { return Ok(vec![table]) };
    let features: Vec<u32> = parse::section(screened, "[[hypothesis]]: field `set.each`")?;
    if features.is_empty() {
        return Err(Error::request(
            "[[hypothesis]]: field `set.each`: expected at least one feature, found none",
        ));
    }
    let name = table.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = if name.starts_with('?') { name.replacen('?', "screen", 1) } else { name };
    Ok(features
        .into_iter()
        .map(|feature| {
            let mut one = table.clone();
            if let Some(set) = one.get_mut("set").and_then(Value::as_table_mut) {
                set.insert("features".to_owned(), Value::Array(vec![Value::Integer(i64::from(feature))]));
            }
            one.insert("name".to_owned(), Value::String(format!("{name}: feature {feature}")));
            one
        })
        .collect())
}

fn place(name: &str) -> String {
    format!("hypothesis `{name}`")
}

fn check_endpoint(suite: &Suite, endpoint: Option<&str>) -> Result<()> {
    let mut known: Vec<&str> = suite.endpoints().iter().map(|endpoint| endpoint.name).collect();
    if suite.refusal_word().is_some() {
        known.push(REFUSAL_LOG_ODDS);
    }
    known.push(experiments::CUT_OFF);
    match endpoint.filter(|endpoint| !known.contains(endpoint)) {
        Some(endpoint) => Err(parse::unknown("endpoint", endpoint, &known)),
        None => Ok(()),
    }
}
