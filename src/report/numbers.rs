//! How a report writes numbers: enough digits to compare, no more.

/// A share as a percentage, with a space that does not break: `38 %`, `0.4 %`.
pub(super) fn percent(share: f64) -> String {
    if !share.is_finite() {
        return "n/a".to_owned();
    }
    let value = share * 100.0;
    if value != 0.0 && value.abs() < 1.0 {
        format!("{value:.1}\u{a0}%")
    } else {
        format!("{value:.0}\u{a0}%")
    }
}

/// A signed difference of shares in percentage points: `+4.1`, `−0.3`.
pub(super) fn points(difference: f64) -> String {
    signed(difference * 100.0, 1)
}

/// A signed number with a true minus sign.
pub(super) fn signed(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "n/a".to_owned();
    }
    let text = format!("{:.digits$}", value.abs());
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    match value {
        _ if is_zero => text,
        value if value < 0.0 => format!("\u{2212}{text}"),
        _ => format!("+{text}"),
    }
}

/// A number to about three significant digits.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if !value.is_finite() => return "n/a".to_owned(),
        0.0 => "0".to_owned(),
        _ if !(1e-3..1e6).contains(&size) => format!("{value:.1e}"),
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 0.095 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    text.replace('-', "\u{2212}")
}

/// A p-value in a cell: `.017`, `< .001`.
pub(super) fn p_value(p: f64) -> String {
    match p {
        _ if !p.is_finite() => "n/a".to_owned(),
        p if p < 0.001 => "< .001".to_owned(),
        p if p >= 0.9995 => "1".to_owned(),
        p => format!("{p:.3}").trim_start_matches('0').to_owned(),
    }
}

/// A p-value in a sentence: `p = .017`, `p < .001`.
pub(super) fn p_is(p: f64) -> String {
    match p_value(p).strip_prefix("< ") {
        Some(bound) => format!("p\u{a0}<\u{a0}{bound}"),
        None => format!("p\u{a0}=\u{a0}{}", p_value(p)),
    }
}

/// A count with thin spaces between thousands.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.len() > 4 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A duration: `41 s`, `3 min 20 s`, `2 h 05 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{seconds:.0} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_a_paper() {
        assert_eq!(percent(0.384), "38\u{a0}%");
        assert_eq!(percent(0.004), "0.4\u{a0}%");
        assert_eq!(points(-0.0412), "\u{2212}4.1");
        assert_eq!(points(0.00001), "0.0");
        assert_eq!(p_value(0.0167), ".017");
        assert_eq!(p_value(0.0000167), "< .001");
        assert_eq!(p_is(0.0000167), "p\u{a0}<\u{a0}.001");
        assert_eq!(p_is(0.0167), "p\u{a0}=\u{a0}.017");
        assert_eq!(count(1234567), "1\u{202f}234\u{202f}567");
        assert_eq!(short(0.01234), "0.012");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(short(f64::NAN), "n/a");
    }
}
