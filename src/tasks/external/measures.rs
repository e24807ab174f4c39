//! What units measure: products of powers of lengths, masses, times and so on, and of words for whatever is counted.

use super::rational::Rational;
use std::collections::BTreeMap;

/// A unit, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measure {
    /// How many of the first units of what it measures it is.
    factor: Rational,
    /// The powers of what is measured.
    known: BTreeMap<&'static str, i32>,
    /// The powers of words that are no such unit, without their plural.
    counted: BTreeMap<String, i32>,
}

impl Measure {
    /// Takes apart words, powers, products and quotients: `km h^-1`, `square metres per second`.
    pub(super) fn of(text: &str) -> Self {
        let mut found = Self { factor: Rational::whole(1), known: BTreeMap::new(), counted: BTreeMap::new() };
        let mut spaced = String::with_capacity(text.len());
        for letter in text.chars() {
            match letter {
                '/' | '(' | ')' => spaced.extend([' ', letter, ' ']),
                '*' | '·' | ',' | '{' | '}' | '[' | ']' | '$' | ':' => spaced.push(' '),
                other => spaced.push(other),
            }
        }
        // Whether what comes next, or all up to a bracket, stands below a line; the power that a word before gives.
        let (mut below, mut group, mut power) = (false, false, 1);
        let mut last: Option<(String, i32)> = None;
        for word in spaced.split_whitespace() {
            let (name, exponent) = word.split_once('^').unwrap_or((word, ""));
            let name = name.trim_matches(['.', '-', '·', '!']);
            let lower = name.to_lowercase();
            let again = match lower.as_str() {
                "squared" | "2" => Some(2),
                "cubed" | "3" => Some(3),
                "" => exponent.parse().ok(),
                _ => None,
            };
            match (lower.as_str(), again, last.clone()) {
                (_, Some(times), Some((name, power))) => {
                    found.add(&name, power * (times - 1));
                    last = None;
                }
                ("/" | "per", ..) => below = true,
                ("(", ..) => group = below,
                (")", ..) => (below, group) = (false, false),
                ("square" | "sq", ..) => power = 2,
                ("cubic" | "cu", ..) => power = 3,
                ("of", ..) => break,
                ("in", _, None) if found.powers().is_empty() => {
                    let times = power * exponent.parse::<i32>().unwrap_or(1).clamp(-9, 9);
                    found.add("in", times);
                    last = Some(("in".to_owned(), times));
                    power = 1;
                }
                ("" | "the" | "a" | "an" | "in" | "each" | "every" | "1", ..) => {}
                _ => {
                    let digits = name.len() - name.trim_end_matches(['2', '3']).len();
                    let (name, own) = name.split_at(name.len() - digits);
                    let exponent: i32 = if exponent.is_empty() { own } else { exponent }.parse().unwrap_or(1);
                    let times = power * exponent.clamp(-9, 9) * if below || group { -1 } else { 1 };
                    found.add(name, times);
                    last = Some((name.to_owned(), times));
                    (below, power) = (group, 1);
                }
            }
        }
        found.known.retain(|_, power| *power != 0);
        found.counted.retain(|_, power| *power != 0);
        found
    }

    /// The unit of an amount of money that stands by itself, or with what it is paid for.
    pub(super) fn money(sign: char, of: Option<&str>) -> Self {
        let name = match sign {
            '€' => "euro",
            '£' => "gbp",
            '¥' => "yen",
            _ => "dollar",
        };
        match of {
            Some(rest) if rest.starts_with("per ") || rest.starts_with('/') => {
                Self::of(&format!("{name} {rest}"))
            }
            Some(rest) if Self::of(rest).is_money() => Self::of(rest),
            _ => Self::of(name),
        }
    }

    fn is_money(&self) -> bool {
        self.known.keys().any(|name| ["dollar", "euro", "gbp", "yen"].contains(name))
    }

    fn add(&mut self, name: &str, power: i32) {
        let Some((above, below, dimensions)) = unit(name) else {
            let lower = name.to_lowercase();
            let single = lower.strip_suffix('s').filter(|single| single.len() > 1).unwrap_or(&lower);
            *self.counted.entry(single.to_owned()).or_default() += power;
            return;
        };
        let factor = Rational::new(above, below).and_then(|one| one.power(power.into()));
        if let Some(factor) = factor.and_then(|factor| factor.multiply(&self.factor)) {
            self.factor = factor;
        }
        for (dimension, times) in dimensions {
            *self.known.entry(dimension).or_default() += power * times;
        }
    }

    /// How many of another unit this one is; `None` if they measure different things. Words for whatever is counted
    /// may differ, but not in their powers.
    pub(super) fn in_terms_of(&self, other: &Self) -> Option<Rational> {
        let one = || Some(Rational::whole(1));
        if self.counted == other.counted {
            return (self.known == other.known).then(|| self.factor.divide(&other.factor)).flatten();
        }
        for (any, certain) in [(self, other), (other, self)] {
            // Units of length that are not said: `square units`.
            if let [("unit", power)] = any.powers().as_slice()
                && let [("length", also)] = certain.powers().as_slice()
            {
                return if power == also { one() } else { None };
            }
        }
        let below = |unit: &Self| unit.powers().iter().any(|(_, power)| *power < 0);
        let apart = self
            .counted
            .iter()
            .any(|(name, power)| other.counted.get(name).is_some_and(|also| also != power));
        if apart || below(self) != below(other) { None } else { one() }
    }

    fn powers(&self) -> Vec<(&str, i32)> {
        let counted = self.counted.iter().map(|(name, power)| (name.as_str(), *power));
        self.known.iter().map(|(name, power)| (*name, *power)).chain(counted).collect()
    }
}

/// A unit as a multiple of the first units of its dimensions: above and below the line, and their powers.
type Known = (i64, i64, &'static [(&'static str, i32)]);

const LENGTH: &[(&str, i32)] = &[("length", 1)];
const AREA: &[(&str, i32)] = &[("length", 2)];
const VOLUME: &[(&str, i32)] = &[("length", 3)];
const MASS: &[(&str, i32)] = &[("mass", 1)];
const TIME: &[(&str, i32)] = &[("time", 1)];
const SPEED: &[(&str, i32)] = &[("length", 1), ("time", -1)];
const FORCE: &[(&str, i32)] = &[("mass", 1), ("length", 1), ("time", -2)];
const ENERGY: &[(&str, i32)] = &[("mass", 1), ("length", 2), ("time", -2)];
const POWER: &[(&str, i32)] = &[("mass", 1), ("length", 2), ("time", -3)];
const PRESSURE: &[(&str, i32)] = &[("mass", 1), ("length", -1), ("time", -2)];

/// Units that are often written or converted.
fn unit(name: &str) -> Option<Known> {
    by_sign(name).or_else(|| by_name(&name.to_lowercase()))
}

/// Units by their signs, whose case counts.
fn by_sign(name: &str) -> Option<Known> {
    Some(match name {
        "m" => (1, 1, LENGTH),
        "km" => (1_000, 1, LENGTH),
        "dm" => (1, 10, LENGTH),
        "cm" => (1, 100, LENGTH),
        "mm" => (1, 1_000, LENGTH),
        "nm" => (1, 1_000_000_000, LENGTH),
        "in" => (254, 10_000, LENGTH),
        "ft" => (3_048, 10_000, LENGTH),
        "yd" => (9_144, 10_000, LENGTH),
        "mi" => (1_609_344, 1_000, LENGTH),
        "ha" => (10_000, 1, AREA),
        "l" | "L" => (1, 1_000, VOLUME),
        "dl" | "dL" => (1, 10_000, VOLUME),
        "cl" | "cL" => (1, 100_000, VOLUME),
        "ml" | "mL" => (1, 1_000_000, VOLUME),
        "g" => (1, 1, MASS),
        "kg" => (1_000, 1, MASS),
        "mg" => (1, 1_000, MASS),
        "t" => (1_000_000, 1, MASS),
        "s" => (1, 1, TIME),
        "ms" => (1, 1_000, TIME),
        "h" => (3_600, 1, TIME),
        "mph" => (1_609_344, 3_600_000, SPEED),
        "kph" | "kmh" => (1_000, 3_600, SPEED),
        "Hz" => (1, 1, &[("time", -1)]),
        "N" => (1_000, 1, FORCE),
        "kN" => (1_000_000, 1, FORCE),
        "J" => (1_000, 1, ENERGY),
        "kJ" => (1_000_000, 1, ENERGY),
        "Wh" => (3_600_000, 1, ENERGY),
        "kWh" => (3_600_000_000, 1, ENERGY),
        "W" => (1_000, 1, POWER),
        "kW" => (1_000_000, 1, POWER),
        "Pa" => (1_000, 1, PRESSURE),
        "kPa" => (1_000_000, 1, PRESSURE),
        "A" => (1, 1, &[("current", 1)]),
        "mA" => (1, 1_000, &[("current", 1)]),
        "V" => (1, 1, &[("voltage", 1)]),
        "K" => (1, 1, &[("kelvin", 1)]),
        "C" => (1, 1, &[("celsius", 1)]),
        "F" => (1, 1, &[("fahrenheit", 1)]),
        _ => return None,
    })
}

/// Units by their names in lower case.
fn by_name(name: &str) -> Option<Known> {
    Some(match name {
        "meter" | "meters" | "metre" | "metres" => (1, 1, LENGTH),
        "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => (1_000, 1, LENGTH),
        "cm" | "centimeter" | "centimeters" | "centimetre" | "centimetres" => (1, 100, LENGTH),
        "mm" | "millimeter" | "millimeters" | "millimetre" | "millimetres" => (1, 1_000, LENGTH),
        "inch" | "inches" => (254, 10_000, LENGTH),
        "ft" | "foot" | "feet" => (3_048, 10_000, LENGTH),
        "yard" | "yards" => (9_144, 10_000, LENGTH),
        "mile" | "miles" => (1_609_344, 1_000, LENGTH),
        "hectare" | "hectares" => (10_000, 1, AREA),
        "liter" | "liters" | "litre" | "litres" => (1, 1_000, VOLUME),
        "milliliter" | "milliliters" | "millilitre" | "millilitres" => (1, 1_000_000, VOLUME),
        "gram" | "grams" => (1, 1, MASS),
        "kg" | "kilogram" | "kilograms" | "kilos" => (1_000, 1, MASS),
        "milligram" | "milligrams" => (1, 1_000, MASS),
        "sec" | "secs" | "second" | "seconds" => (1, 1, TIME),
        "min" | "mins" | "minute" | "minutes" => (60, 1, TIME),
        "hr" | "hrs" | "hour" | "hours" => (3_600, 1, TIME),
        "day" | "days" => (86_400, 1, TIME),
        "week" | "weeks" => (604_800, 1, TIME),
        "newton" | "newtons" => (1_000, 1, FORCE),
        "joule" | "joules" => (1_000, 1, ENERGY),
        "kwh" => (3_600_000_000, 1, ENERGY),
        "watt" | "watts" => (1_000, 1, POWER),
        "pascal" | "pascals" => (1_000, 1, PRESSURE),
        "dollar" | "dollars" | "usd" => (1, 1, &[("dollar", 1)]),
        "cent" | "cents" => (1, 100, &[("dollar", 1)]),
        "euro" | "euros" | "eur" => (1, 1, &[("euro", 1)]),
        "gbp" => (1, 1, &[("gbp", 1)]),
        "yen" => (1, 1, &[("yen", 1)]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(one: &str, other: &str) -> Option<Rational> {
        Measure::of(one).in_terms_of(&Measure::of(other))
    }

    #[test]
    fn powers_and_quotients_count() {
        for (one, other) in [
            ("m", "m^2"),
            ("m", "m/s"),
            ("m/s", "m/s^2"),
            ("square units", "units"),
            ("cm", "square units"),
            ("dollars", "dollars per hour"),
            ("kg", "s"),
            ("apples", "apples per day"),
        ] {
            assert_eq!(ratio(one, other), None, "{one} | {other}");
        }
        for (one, other) in [
            ("km/h", "km h^-1"),
            ("km per hour", "kph"),
            ("square meters", "m^2"),
            ("m squared", "m ^2"),
            ("in^2", "square inches"),
            ("cu ft", "feet^3"),
            ("J/(kg K)", "J kg^-1 K^-1"),
            ("students", "people"),
            ("kg m/s^2", "N"),
        ] {
            assert_eq!(ratio(one, other), Some(Rational::whole(1)), "{one} | {other}");
        }
        assert_eq!(ratio("m^2", "cm^2"), Some(Rational::whole(10_000)));
        assert_eq!(ratio("dollars", "cents"), Some(Rational::whole(100)));
        assert_eq!(ratio("m/s", "km/h"), Rational::new(36, 10));
    }
}
