//! Formats numbers for people.

/// Formats a count, abbreviated from a million on.
pub(crate) fn count(value: f64) -> String {
    match value {
        _ if value >= 1e9 => format!("{:.2} G", value / 1e9),
        _ if value >= 1e6 => format!("{:.2} M", value / 1e6),
        _ => format!("{value:.0}"),
    }
}

/// Formats a part of a whole in percent.
pub(crate) fn share(part: f64, whole: f64) -> String {
    if whole <= 0.0 {
        return "0%".to_owned();
    }
    let percent = 100.0 * part / whole;
    if percent > 0.0 && percent < 0.01 {
        return "<0.01%".to_owned();
    }
    format!("{percent:.2}%")
}

/// Formats a plotted value with three significant digits, or all whole digits.
pub(crate) fn figure(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    if !text.contains('.') {
        return text;
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// Formats a value of an axis in a few characters: `1500`, `20k`, `1.5M`.
pub(crate) fn abbreviated(value: f64) -> String {
    let (size, unit) = match value.abs() {
        size if size >= 1e9 => (1e9, "G"),
        size if size >= 1e6 => (1e6, "M"),
        size if size >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    figure(value / size) + unit
}

#[cfg(test)]
mod tests {
    use super::{abbreviated, count, figure, share};

    #[test]
    fn numbers_are_as_long_as_they_need_to_be() {
        let figures = [0.0, 1.0, 100.0, 1234.5, 0.1234, 12.34, -0.0001].map(figure);
        assert_eq!(figures, ["0", "1", "100", "1234", "0.123", "12.3", "0"]);
        let figures = [0.5, 1500.0, 20_000.0, 1.5e6, 2e9].map(abbreviated);
        assert_eq!(figures, ["0.5", "1500", "20k", "1.5M", "2G"]);
        assert_eq!(count(12_345.6), "12346");
        assert_eq!(count(1_234_567.0), "1.23 M");
        assert_eq!(share(1.0, 8.0), "12.50%");
        assert_eq!(share(1.0, 1e9), "<0.01%");
    }
}
