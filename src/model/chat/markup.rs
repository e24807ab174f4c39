//! Text that `safe` and `escape` mark: in Python, what is added to it is escaped.
//!
//! It prints and is filtered as a text is.

use super::metered::add_filter;
use super::text::text;
use minijinja::Environment;
use minijinja::value::{Object, ObjectRepr, Value};
use std::fmt::{Formatter, Result as Written};
use std::sync::Arc;

/// A text that is marked as safe.
#[derive(Debug)]
pub(super) struct Markup(pub(super) String);

impl Object for Markup {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.0.is_empty()
    }

    fn render(self: &Arc<Self>, out: &mut Formatter<'_>) -> Written {
        out.write_str(&self.0)
    }
}

impl Markup {
    /// `left + right`, if one of them is marked: what is not is escaped.
    pub(super) fn sum(left: &Value, right: &Value) -> Option<Value> {
        let is_marked = |value: &Value| value.downcast_object_ref::<Self>().is_some();
        if !is_marked(left) && !is_marked(right) {
            return None;
        }
        let part = |value: &Value| match value.downcast_object_ref::<Self>() {
            Some(Self(text)) => Some(text.clone()),
            None => value.as_str().map(escaped),
        };
        Some(Value::from_object(Self(part(left)? + &part(right)?)))
    }
}

pub(super) fn add(environment: &mut Environment<'_>) {
    add_filter(environment, "safe", |value: &Value| Value::from_object(Markup(text(value))));
    for name in ["escape", "e"] {
        add_filter(environment, name, |value: &Value| match value.downcast_object_ref::<Markup>() {
            Some(_) => value.clone(),
            None => Value::from_object(Markup(escaped(&text(value)))),
        });
    }
}

/// With the entities that MarkupSafe writes.
fn escaped(text: &str) -> String {
    let entities = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ("\"", "&#34;")];
    entities.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
