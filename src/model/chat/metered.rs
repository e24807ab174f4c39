//! Filters, tests and functions that pay for what they take and make.

use super::meter;
use minijinja::functions::Function;
use minijinja::value::{FunctionArgs, FunctionResult, Rest, Value};
use minijinja::{Environment, Error, State, tests};

/// A function that pays for what each of its arguments holds by `take`, and for what it makes.
fn metered<F, Rv, Arguments>(
    function: F,
    take: fn(&[Value]) -> Result<(), Error>,
) -> impl Fn(&State<'_, '_>, Rest<Value>) -> Result<Value, Error> + Send + Sync + 'static
where
    F: Function<Rv, Arguments>,
    Rv: FunctionResult,
    Arguments: for<'a> FunctionArgs<'a>,
{
    let function = Value::from_function(function);
    move |state: &State<'_, '_>, arguments: Rest<Value>| {
        take(&arguments)?;
        function.call(state, &arguments).and_then(meter::made)
    }
}

fn through_all(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(meter::through)
}

/// A filter that goes once through what it is given.
pub(super) fn add_filter<F, Rv, Arguments>(environment: &mut Environment<'_>, name: &'static str, filter: F)
where
    F: Function<Rv, Arguments>,
    Rv: FunctionResult,
    Arguments: for<'a> FunctionArgs<'a>,
{
    environment.add_filter(name, metered(filter, meter::taken));
}

/// A filter that compares what its values hold, several times.
pub(super) fn add_deep_filter<F, Rv, Arguments>(
    environment: &mut Environment<'_>,
    name: &'static str,
    filter: F,
) where
    F: Function<Rv, Arguments>,
    Rv: FunctionResult,
    Arguments: for<'a> FunctionArgs<'a>,
{
    environment.add_filter(name, metered(filter, through_all));
}

/// A function that goes once through what it is given.
pub(super) fn add_function<F, Rv, Arguments>(
    environment: &mut Environment<'_>,
    name: &'static str,
    function: F,
) where
    F: Function<Rv, Arguments>,
    Rv: FunctionResult,
    Arguments: for<'a> FunctionArgs<'a>,
{
    environment.add_function(name, metered(function, meter::taken));
}

/// A test that goes once through what it is given.
pub(super) fn add_test<F, Rv, Arguments>(environment: &mut Environment<'_>, name: &'static str, test: F)
where
    F: Function<Rv, Arguments>,
    Rv: FunctionResult,
    Arguments: for<'a> FunctionArgs<'a>,
{
    let test = metered(test, meter::taken);
    environment.add_test(name, move |state: &State<'_, '_>, arguments: Rest<Value>| {
        test(state, arguments).map(|value| value.is_true())
    });
}

/// Puts tests that pay in the place of those of minijinja that compare.
pub(super) fn add_comparisons(environment: &mut Environment<'_>) {
    let mut add = |names: &[&'static str], test: fn(&Value, &Value) -> bool| {
        for name in names {
            let test = metered(test, through_all);
            environment.add_test(*name, move |state: &State<'_, '_>, arguments: Rest<Value>| {
                test(state, arguments).map(|value| value.is_true())
            });
        }
    };
    add(&["eq", "equalto", "=="], tests::is_eq);
    add(&["ne", "!="], tests::is_ne);
    add(&["lt", "lessthan", "<"], tests::is_lt);
    add(&["le", "<="], tests::is_le);
    add(&["gt", "greaterthan", ">"], tests::is_gt);
    add(&["ge", ">="], tests::is_ge);
    add(&["sameas"], tests::is_sameas);
    let within = metered(tests::is_in, through_all);
    environment.add_test("in", move |state: &State<'_, '_>, arguments: Rest<Value>| {
        within(state, arguments).map(|value| value.is_true())
    });
}
