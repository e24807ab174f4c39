//! What Python has beside lists: tuples, the views of a dictionary, and generators, each of which prints, compares
//! to true and is indexed in its own way.

use super::meter;
use super::metered::{add_deep_filter, add_filter, add_function};
use super::methods::pairs;
use super::operators::plus;
use super::text::repr_each;
use minijinja::functions::Function;
use minijinja::value::{
    DynObject, Enumerator, FunctionArgs, FunctionResult, Kwargs, Object, ObjectRepr, Rest, Value, ValueKind,
};
use minijinja::{Environment, Error, ErrorKind, State, filters, functions};
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Several values that are no list.
#[derive(Debug)]
pub(super) struct Sequence {
    kind: Kind,
    items: Vec<Value>,
}

#[derive(Debug)]
enum Kind {
    Tuple,
    /// `dict_keys`, `dict_values` or `dict_items`.
    View(&'static str),
    /// What `map` and `select` return: true though it be empty, without length or places, and gone once it is read.
    Generator(AtomicBool),
}

impl Sequence {
    fn value(kind: Kind, items: Vec<Value>) -> Value {
        Value::from_object(Self { kind, items })
    }

    pub(super) fn tuple(items: Vec<Value>) -> Value {
        Self::value(Kind::Tuple, items)
    }

    pub(super) fn is_tuple(value: &Value) -> bool {
        value.downcast_object_ref::<Self>().is_some_and(|sequence| matches!(sequence.kind, Kind::Tuple))
    }

    pub(super) fn view(name: &'static str, items: Vec<Value>) -> Value {
        Self::value(Kind::View(name), items)
    }

    pub(super) fn generator(items: Vec<Value>) -> Value {
        Self::value(Kind::Generator(AtomicBool::new(false)), items)
    }

    /// What one of these holds, whether it was read or not.
    pub(super) fn items(value: &Value) -> Option<&[Value]> {
        value.downcast_object_ref::<Self>().map(|sequence| sequence.items.as_slice())
    }

    /// Python's `repr`.
    pub(super) fn repr(&self) -> String {
        let items = repr_each(self.items.iter().cloned()).join(", ");
        match self.kind {
            Kind::Tuple if self.items.len() == 1 => format!("({items},)"),
            Kind::Tuple => format!("({items})"),
            Kind::View(name) => format!("{name}([{items}])"),
            // Python prints where it lies in memory.
            Kind::Generator(_) => "<generator object>".to_owned(),
        }
    }
}

impl Object for Sequence {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.kind {
            Kind::Tuple => ObjectRepr::Seq,
            _ => ObjectRepr::Iterable,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.kind {
            Kind::Tuple => self.items.get(key.as_usize()?).cloned(),
            // Minijinja would count through what is iterated.
            _ => Some(Value::UNDEFINED),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &self.kind {
            Kind::Tuple => Enumerator::Seq(self.items.len()),
            Kind::View(_) => Enumerator::Values(self.items.clone()),
            Kind::Generator(is_read) if is_read.swap(true, Relaxed) => Enumerator::Empty,
            Kind::Generator(_) => Enumerator::Values(self.items.clone()),
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        match self.kind {
            Kind::Generator(_) => None,
            _ => Some(self.items.len()),
        }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        matches!(self.kind, Kind::Generator(_)) || !self.items.is_empty()
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.items.cmp(&other.downcast_ref::<Self>()?.items))
    }

    fn render(self: &Arc<Self>, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&Sequence::repr(self))
    }
}

/// Whether Python has a list of it: a slice or a range of minijinja knows its length.
pub(super) fn is_list(value: &Value) -> bool {
    let is_several = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    is_several && value.len().is_some() && value.downcast_object_ref::<Sequence>().is_none()
}

/// The values that a loop or a filter goes through.
///
/// # Errors
/// If Python iterates none of its kind: minijinja takes `none` for an empty list.
pub(super) fn iterated(value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::None => Err(wrong("none cannot be iterated")),
        _ => {
            let of_text = value.as_str().map_or(0, str::len);
            meter::pay(value.len().unwrap_or(of_text).saturating_mul(std::mem::size_of::<Value>()))?;
            Ok(value.try_iter()?.collect())
        }
    }
}

/// The whole numbers from `from` to before `to`, or from 0 to before `from`.
fn range(from: i64, to: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    let (from, to) = to.map_or((0, from), |to| (from, to));
    let step = step.unwrap_or(1);
    let (distance, each) = if step > 0 {
        (i128::from(to) - i128::from(from), i128::from(step))
    } else {
        (i128::from(from) - i128::from(to), -i128::from(step))
    };
    if each == 0 {
        return Err(wrong("range: expected a step other than zero"));
    }
    let count = usize::try_from((distance.max(0) + each - 1) / each).unwrap_or(usize::MAX);
    meter::pay(count.saturating_mul(std::mem::size_of::<Value>()))?;
    let places = (0..count as i128).map(|index| Value::from(i128::from(from) + i128::from(step) * index));
    Ok(places.collect::<Vec<_>>().into())
}

/// The sum of numbers.
fn sum(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let attribute: Option<String> = options.get("attribute")?;
    let start: Option<Value> = options.get("start")?;
    options.assert_all_used()?;
    iterated(value)?.into_iter().try_fold(start.unwrap_or_else(|| Value::from(0)), |sum, item| {
        let item = match &attribute {
            Some(path) => path.split('.').try_fold(item, |item, name| item.get_attr(name))?,
            None => item,
        };
        plus(&sum, &item)
    })
}

/// Puts filters that return generators in the place of those that return lists, and Python's length.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_function("python_tuple", |items: Rest<Value>| Sequence::tuple(items.0));
    // A list, for minijinja counts through a range to find an item.
    add_function(environment, "range", |from: i64, to: Option<i64>, step: Option<i64>| range(from, to, step));
    add_function(environment, "dict", functions::dict);
    add_function(environment, "namespace", functions::namespace);
    add_filter(environment, "python_iterable", iterable);
    generator(environment, "map", filters::map, true);
    generator(environment, "select", filters::select, true);
    generator(environment, "selectattr", filters::selectattr, true);
    generator(environment, "reject", filters::reject, true);
    generator(environment, "rejectattr", filters::rejectattr, true);
    generator(environment, "unique", filters::unique, false);
    for (name, filter) in
        [("batch", Value::from_function(filters::batch)), ("slice", Value::from_function(filters::slice))]
    {
        add_filter(environment, name, move |state: &State<'_, '_>, value: Value, arguments: Rest<Value>| {
            // So many columns, or so many in a row, whether they are filled or not.
            let width = arguments.first().and_then(Value::as_usize).unwrap_or(1);
            meter::pay(width.saturating_mul(std::mem::size_of::<Value>()))?;
            let arguments = [&[Value::from(iterated(&value)?)], arguments.as_slice()].concat();
            filter.call(state, &arguments)?.try_iter().map(|found| Sequence::generator(found.collect()))
        });
    }
    add_deep_filter(environment, "min", filters::min);
    add_deep_filter(environment, "max", filters::max);
    add_deep_filter(environment, "sort", filters::sort);
    add_deep_filter(environment, "groupby", filters::groupby);
    add_filter(environment, "abs", filters::abs);
    add_filter(environment, "sum", sum);
    add_filter(environment, "items", |map: &Value| match map.kind() {
        ValueKind::Undefined => Ok(Sequence::generator(Vec::new())),
        ValueKind::Map => pairs(map).map(Sequence::generator),
        kind => Err(wrong(&format!("a {kind} has no items"))),
    });
    add_filter(environment, "dictsort", |map: &Value, options: Kwargs| {
        meter::through(map)?;
        let sorted = filters::dictsort(map, options)?.try_iter()?;
        sorted.map(|pair| Ok(Sequence::tuple(pair.try_iter()?.collect()))).collect::<Result<Vec<_>, Error>>()
    });
    add_filter(environment, "list", iterated);
    add_filter(environment, "first", |value: &Value| {
        Ok::<_, Error>(iterated(value)?.into_iter().next().unwrap_or_default())
    });
    add_filter(environment, "last", |value: &Value| match value.len() {
        Some(_) => Ok(iterated(value)?.pop().unwrap_or_default()),
        None if value.is_undefined() => Ok(Value::UNDEFINED),
        None => Err(wrong("a generator has no last item")),
    });
    add_filter(environment, "reverse", |value: &Value| match value.as_str() {
        Some(text) => Ok(Value::from(text.chars().rev().collect::<String>())),
        None => Ok::<_, Error>(Sequence::generator(iterated(value)?.into_iter().rev().collect())),
    });
    for name in ["length", "count"] {
        add_filter(environment, name, |value: &Value| match value.kind() {
            ValueKind::Undefined => Ok(0),
            kind => value.len().ok_or_else(|| wrong(&format!("a {kind} has no length"))),
        });
    }
}

/// Has `filter` return a generator. `skips` says whether it takes all that is false for empty.
fn generator<F, Rv, Arguments>(environment: &mut Environment<'_>, name: &'static str, filter: F, skips: bool)
where
    F: Function<Rv, Arguments>,
    Rv: FunctionResult,
    Arguments: for<'a> FunctionArgs<'a>,
{
    let filter = Value::from_function(filter);
    add_filter(environment, name, move |state: &State<'_, '_>, value: Value, arguments: Rest<Value>| {
        if name == "unique" {
            meter::through(&value)?;
        }
        let items = if skips && !value.is_true() { Vec::new() } else { iterated(&value)? };
        let arguments = [&[Value::from(items)], arguments.as_slice()].concat();
        filter.call(state, &arguments)?.try_iter().map(|found| Sequence::generator(found.collect()))
    });
}

/// What a loop goes through, with a length: jinja2 reads a generator to its end where a loop asks for it.
fn iterable(value: Value) -> Result<Value, Error> {
    meter::taken(std::slice::from_ref(&value))?;
    match value.kind() {
        ValueKind::None | ValueKind::Iterable | ValueKind::String => iterated(&value).map(Value::from),
        _ => Ok(value),
    }
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.to_owned())
}
