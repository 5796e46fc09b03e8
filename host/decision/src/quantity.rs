//! Kubernetes quantities as integers: thousandths or billionths of a unit.

mod written;

use std::fmt;

pub use self::written::{Quantity, Suffixes};
use crate::text::within;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A quantity in thousandths of its unit, rounded away from zero and capped at
/// the range of an `i64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milli(pub i64);

/// Maximum size of a text in an error.
const SHOWN_BYTES: usize = 256;

/// A text that is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a quantity: write a number such as 500m, 0.5, 128Mi or 2e3")]
pub struct InvalidQuantity {
    /// The text, shortened.
    pub text: String,
}

impl InvalidQuantity {
    fn of(text: &str) -> Self {
        Self {
            text: within(text, SHOWN_BYTES),
        }
    }
}

/// A parsed quantity: digits × 10^exponent or digits × 2^shift.
struct Parts {
    negative: bool,
    /// Decimal digits without the point.
    digits: String,
    /// Power of ten; accounts for the decimal point.
    exponent: i32,
    /// Power of two (binary suffixes).
    shift: u32,
}

fn split(text: &str) -> Option<Parts> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (power, shift) = match suffix {
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "" => (0, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        _ => (suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?, 0),
    };
    let exponent = power.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    Some(Parts {
        negative,
        digits: format!("{whole}{fraction}"),
        exponent,
        shift,
    })
}

impl Milli {
    /// Parses a quantity in Kubernetes' notation.
    ///
    /// # Errors
    /// If `text` is not a quantity.
    pub fn parse(text: &str) -> Result<Self, InvalidQuantity> {
        let parts = split(text).ok_or_else(|| InvalidQuantity::of(text))?;
        let magnitude = parts.magnitude(3);
        let magnitude = i64::try_from(magnitude).unwrap_or(i64::MAX);
        Ok(Self(if parts.negative {
            -magnitude
        } else {
            magnitude
        }))
    }
}

/// A quantity in billionths of its unit, the finest that Kubernetes keeps: rounded away
/// from zero and capped at the range of an `i64` of whole units. Sums are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nano(pub i128);

/// Billionths of a unit.
const NANO: i128 = 1_000_000_000;

impl Nano {
    /// Parses a quantity in Kubernetes' notation.
    ///
    /// # Errors
    /// If `text` is not a quantity.
    pub fn parse(text: &str) -> Result<Self, InvalidQuantity> {
        let parts = split(text).ok_or_else(|| InvalidQuantity::of(text))?;
        let limit = i128::from(i64::MAX) * NANO;
        let magnitude = i128::try_from(parts.magnitude(9)).map_or(limit, |nano| nano.min(limit));
        Ok(Self(if parts.negative {
            -magnitude
        } else {
            magnitude
        }))
    }

    /// Returns thousandths, rounded up, as Go's `MilliValue` does.
    pub fn milli(self) -> i64 {
        self.rounded_up(NANO / 1000)
    }

    /// Returns whole units, rounded up, as Go's `Value` does.
    pub fn units(self) -> i64 {
        self.rounded_up(NANO)
    }

    /// Rounds away from zero to thousandths (Go's `RoundUp(-3)`), the finest unit in
    /// which the API server stores the requests of pods.
    #[must_use]
    pub fn to_whole_milli(self) -> Self {
        const MILLI: i128 = NANO / 1000;
        let magnitude = self.0.unsigned_abs().div_ceil(MILLI.unsigned_abs());
        let magnitude = i128::try_from(magnitude).unwrap_or(i128::MAX / MILLI) * MILLI;
        Self(magnitude * self.0.signum())
    }

    fn rounded_up(self, divisor: i128) -> i64 {
        let floor = self.0.div_euclid(divisor);
        let ceiling = floor + i128::from(self.0.rem_euclid(divisor) != 0);
        i64::try_from(ceiling).unwrap_or(if ceiling < 0 { i64::MIN } else { i64::MAX })
    }
}

impl<'de> Deserialize<'de> for Nano {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = QuantityText::deserialize(deserializer)?;
        Self::parse(&text.0).map_err(serde::de::Error::custom)
    }
}

impl Parts {
    /// Returns ⌈|quantity| × 10^power⌉, saturating.
    fn magnitude(&self, power: i32) -> u128 {
        let digits = self.digits.trim_start_matches('0');
        if digits.is_empty() {
            return 0;
        }
        // Thirty digits hold any i64 of thousandths with room for the suffix. Digits
        // beyond them only matter for rounding.
        let (head, tail) = digits.split_at(digits.len().min(30));
        let dropped = i32::try_from(tail.len()).unwrap_or(i32::MAX);
        let exponent = self.exponent.saturating_add(dropped).saturating_add(power);
        let inexact = tail.bytes().any(|digit| digit != b'0');
        let Ok(value) = head.parse::<u128>() else {
            return u128::MAX;
        };
        let Some(value) = value.checked_mul(1 << self.shift) else {
            return u128::MAX;
        };
        if exponent >= 0 {
            let power = u32::try_from(exponent).unwrap_or(u32::MAX);
            let scaled = 10u128
                .checked_pow(power)
                .and_then(|power| value.checked_mul(power));
            return scaled.map_or(u128::MAX, |scaled| scaled.saturating_add(inexact.into()));
        }
        match 10u128.checked_pow(exponent.unsigned_abs()) {
            Some(divisor) => {
                let up = inexact || !value.is_multiple_of(divisor);
                value / divisor + u128::from(up)
            }
            None => 1,
        }
    }
}

/// Parses a quantity into a float as Go's `AsApproximateFloat64` does: digits ×
/// 10^exponent in floating point, so that 350m is 0.35000000000000003.
///
/// # Errors
/// If `text` is not a quantity.
pub fn approximate_f64(text: &str) -> Result<f64, InvalidQuantity> {
    let invalid = || InvalidQuantity::of(text);
    let parts = split(text).ok_or_else(invalid)?;
    let digits: f64 = parts.digits.parse().map_err(|_| invalid())?;
    // Exact: a power of two.
    let base = digits * (1u64 << parts.shift) as f64;
    let value = if parts.exponent == 0 {
        base
    } else {
        base * pow10(parts.exponent)
    };
    Ok(if parts.negative { -value } else { value })
}

/// Returns 10^n as Go's `math.Pow10` computes it: the nearest float for 0 ≤ n < 32, one
/// divided by that for -32 < n < 0. Outside of that range, where Go multiplies two table
/// entries, it is the nearest float. Does not use `powi`, which differs by platform.
fn pow10(n: i32) -> f64 {
    let nearest = |n: i32| format!("1e{n}").parse().unwrap_or(f64::INFINITY);
    if (-31..0).contains(&n) {
        1.0 / nearest(-n)
    } else {
        nearest(n)
    }
}

impl fmt::Display for Milli {
    /// Writes whole units where possible, else thousandths (`1500m`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 == 0 {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

impl Serialize for Milli {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Milli {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = QuantityText::deserialize(deserializer)?;
        Self::parse(&text.0).map_err(serde::de::Error::custom)
    }
}

/// A quantity's text: a JSON string or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityText(pub String);

impl<'de> Deserialize<'de> for QuantityText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = QuantityText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 500m, 0.5, 128Mi or 2")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<QuantityText, E> {
                Ok(QuantityText(text.to_owned()))
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<QuantityText, E> {
                Ok(QuantityText(value.to_string()))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<QuantityText, E> {
                Ok(QuantityText(value.to_string()))
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<QuantityText, E> {
                Ok(QuantityText(value.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for QuantityText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// JSON Schema of a quantity, the same as in Kubernetes' own kinds.
#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{Milli, Quantity, QuantityText};

    const PATTERN: &str =
        r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+))?$";

    impl JsonSchema for QuantityText {
        fn schema_name() -> Cow<'static, str> {
            "Quantity".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "anyOf": [{ "type": "integer" }, { "type": "string" }],
                "maxLength": 40,
                "pattern": PATTERN,
                "x-kubernetes-int-or-string": true,
            })
        }
    }

    impl JsonSchema for Milli {
        fn schema_name() -> Cow<'static, str> {
            QuantityText::schema_name()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            QuantityText::json_schema(generator)
        }
    }

    impl JsonSchema for Quantity {
        fn schema_name() -> Cow<'static, str> {
            QuantityText::schema_name()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            QuantityText::json_schema(generator)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Milli, Nano, approximate_f64};

    #[test]
    fn quantities_round_away_from_zero_to_thousandths() {
        let cases = [
            ("0", 0),
            ("1", 1000),
            ("500m", 500),
            ("0.5", 500),
            (".5", 500),
            ("1n", 1),
            ("999999n", 1),
            ("1000001n", 2),
            ("-1u", -1),
            ("8.148", 8148),
            ("8.1481", 8149),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("2e3", 2_000_000),
            ("1E", i64::MAX),
            ("99999999999999999999999999999999999", i64::MAX),
        ];
        for (text, milli) in cases {
            assert_eq!(Milli::parse(text), Ok(Milli(milli)), "{text}");
        }
        for text in ["", "m", "1.2.3", "1 Gi", "1X", "e", "--1", "NaN"] {
            assert!(Milli::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sums_of_billionths_are_rounded_once() {
        let nano = |text| Nano::parse(text).map(|nano| nano.0);
        assert_eq!(nano("100500u"), Ok(100_500_000));
        assert_eq!(nano("0.1n"), Ok(1));
        assert_eq!(nano("-1.5Ki"), Ok(-1_536_000_000_000));
        assert_eq!(Nano(2 * 100_500_000).milli(), 201);
        assert_eq!(Nano(100_500_000).milli(), 101);
        assert_eq!(Nano(-100_500_000).milli(), -100);
        assert_eq!(Nano(1).units(), 1);
        assert_eq!(Nano::parse("99E").map(Nano::units), Ok(i64::MAX));
        assert!(Nano::parse("1 Gi").is_err());
    }

    #[test]
    fn tolerances_are_digits_times_a_power_of_ten() {
        assert_eq!(approximate_f64("350m"), Ok(0.350_000_000_000_000_03));
        assert_eq!(approximate_f64("0.1"), Ok(0.1));
        assert_eq!(approximate_f64("0.3"), Ok(0.300_000_000_000_000_04));
        assert_eq!(approximate_f64("150m"), Ok(0.15));
        assert_eq!(approximate_f64("1"), Ok(1.0));
        assert_eq!(approximate_f64("2Ki"), Ok(2048.0));
        assert_eq!(approximate_f64("1e2"), Ok(100.0));
        assert_eq!(approximate_f64("-5m"), Ok(-0.005));
        assert!(approximate_f64("many").is_err());
    }
}
