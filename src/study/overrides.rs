//! `--set a.b=value`: one setting changed from the command line.

use super::parse;
use crate::error::{At, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// One parsed override.
struct Override {
    /// The dotted path, in parts.
    path: Vec<String>,
    /// The new value.
    value: Value,
}

/// Parses `a.b=value`. The value is TOML; what is no TOML value is taken as text.
fn parse(text: &str) -> Result<Override> {
    let malformed = || {
        Error::request(format!("expected KEY=VALUE, found `{text}`"))
            .hint("for example --set variant.sft.steps=100")
    };
    let (key, value) = text.split_once('=').ok_or_else(malformed)?;
    let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err(malformed());
    }
    Ok(Override { path, value: parse_value(value.trim()) })
}

fn parse_value(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// `settings` with every `key=value` of `sets` applied, checked against the type's own fields.
///
/// # Errors
/// If a key does not exist (the nearest is offered) or a value has the wrong type.
pub(crate) fn apply<T: Serialize + DeserializeOwned>(settings: &T, sets: &[String]) -> Result<T> {
    let mut table = Table::try_from(settings)
        .map_err(|error| Error::work(format!("these settings cannot be overridden: {error}")))?;
    apply_to_section(&mut table, sets)?;
    parse::section(Value::Table(table), "--set")
}

/// Applies `--set` overrides to one section.
pub(crate) fn apply_to_section(table: &mut Table, sets: &[String]) -> Result<()> {
    for set in sets {
        let Override { path, value } = parse(set).at("--set")?;
        insert(table, &path, value).at(format!("--set {set}"))?;
    }
    Ok(())
}

/// Puts `value` at `path`, making tables on the way.
fn insert(table: &mut Table, path: &[String], value: Value) -> Result<()> {
    let Some((first, rest)) = path.split_first() else {
        return Err(Error::request("expected a key before `=`"));
    };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return Ok(());
    }
    match table.entry(first).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => insert(inner, rest, value),
        other => Err(Error::request(format!(
            "`{first}` is {}, so it has no field `{}`",
            parse::describe(other),
            rest.join(".")
        ))),
    }
}

/// Applies `--set` overrides to a study. A member of a list of sections is chosen by its name, as in
/// `variant.sft.steps=100`.
pub(super) fn apply_to_study(table: &mut Table, sets: &[String]) -> Result<()> {
    for set in sets {
        let Override { path, value } = parse(set).at("--set")?;
        insert_by_name(table, &path, value).at(format!("--set {set}"))?;
    }
    Ok(())
}

fn insert_by_name(table: &mut Table, path: &[String], value: Value) -> Result<()> {
    let [first, name, rest @ ..] = path else { return insert(table, path, value) };
    let Some(Value::Array(members)) = table.get_mut(first) else { return insert(table, path, value) };
    let name_of = |member: &Value| member.get("name").and_then(Value::as_str).map(str::to_owned);
    let names: Vec<String> = members.iter().filter_map(name_of).collect();
    let chosen = members.iter_mut().find(|member| name_of(member).as_deref() == Some(name));
    match chosen {
        Some(Value::Table(member)) if !rest.is_empty() => insert(member, rest, value),
        Some(_) => Err(Error::request(format!("`{first}.{name}` is a section"))
            .hint(format!("name one of its fields, as in {first}.{name}.steps"))),
        None => Err(parse::unknown(first, name, &names.iter().map(String::as_str).collect::<Vec<_>>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, PartialEq, Debug, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        steps: usize,
        learning_rate: f64,
        data: String,
    }

    fn applied(sets: &[&str]) -> Result<Settings> {
        apply(&Settings::default(), &sets.iter().map(|set| (*set).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_toml_or_else_text() {
        let settings = applied(&["steps=20", "learning_rate=1e-4", "data=no_cot"]).unwrap();
        assert_eq!(settings, Settings { steps: 20, learning_rate: 1e-4, data: "no_cot".into() });
    }

    #[test]
    fn mistakes_are_named() {
        let message = |set: &str| applied(&[set]).unwrap_err().to_string();
        assert_eq!(
            message("step=3"),
            "--set: unknown field `step`; known are `steps`, `learning_rate`, `data`\nhint: did you mean `steps`?"
        );
        assert!(message("steps").starts_with("--set: expected KEY=VALUE, found `steps`"));
        assert!(message("steps=many").starts_with("--set: field `steps`: "), "{}", message("steps=many"));
        assert!(message("steps.x=1").contains("`steps` is an integer, so it has no field `x`"));
    }
}
