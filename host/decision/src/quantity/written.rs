//! Quantities as they are written: with the suffixes that a user or Kubernetes chose.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{InvalidQuantity, Milli, QuantityText};

/// Suffixes with which a quantity is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suffixes {
    /// `m`, `k`, `M` and so on.
    #[default]
    Decimal,
    /// `Ki`, `Mi` and so on.
    Binary,
}

impl Suffixes {
    /// Returns the suffixes with which Kubernetes writes what is measured of a resource.
    #[must_use]
    pub fn of_resource(name: &str) -> Self {
        match name {
            "memory" => Self::Binary,
            _ => Self::Decimal,
        }
    }
}

/// A quantity in thousandths and its suffixes, as users write it: `100Mi` stays `100Mi`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantity {
    /// The quantity.
    pub milli: Milli,
    /// Its suffixes.
    pub suffixes: Suffixes,
}

impl Quantity {
    /// Parses a quantity in Kubernetes' notation.
    ///
    /// # Errors
    /// If `text` is not a quantity.
    pub fn parse(text: &str) -> Result<Self, InvalidQuantity> {
        let suffixes = match text.ends_with('i') {
            true => Suffixes::Binary,
            false => Suffixes::Decimal,
        };
        let milli = Milli::parse(text)?;
        Ok(Self { milli, suffixes })
    }
}

impl fmt::Display for Quantity {
    /// Writes the canonical form of Kubernetes: a whole number with the largest suffix. With
    /// binary suffixes, 1024 or more is rounded to whole units, and less is written with
    /// decimal ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Milli(milli) = self.milli;
        let magnitude = milli.unsigned_abs();
        if milli < 0 {
            f.write_str("-")?;
        }
        let is_binary = self.suffixes == Suffixes::Binary && magnitude >= 1024 * 1000;
        if !is_binary && !magnitude.is_multiple_of(1000) {
            return write!(f, "{magnitude}m");
        }
        let (base, suffixes) = match is_binary {
            true => (1024, ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]),
            false => (1000, ["", "k", "M", "G", "T", "P", "E"]),
        };
        let (mut number, mut at) = (magnitude.div_ceil(1000), 0);
        while number > 0 && number.is_multiple_of(base) && at + 1 < suffixes.len() {
            (number, at) = (number / base, at + 1);
        }
        write!(f, "{number}{}", suffixes[at])
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = QuantityText::deserialize(deserializer)?;
        Self::parse(&text.0).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn quantities_are_written_as_kubernetes_writes_them() {
        for (text, written) in [
            ("100Mi", "100Mi"),
            ("102400Ki", "100Mi"),
            ("1500Mi", "1500Mi"),
            ("1.5Gi", "1536Mi"),
            ("512", "512"),
            ("0.5Ki", "512"),
            ("2000.5Ki", "2048512"),
            ("-2Ki", "-2Ki"),
            ("0Mi", "0"),
            ("104857600", "104857600"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("2e6", "2M"),
            ("2000M", "2G"),
            ("0.25", "250m"),
            ("-1500m", "-1500m"),
            ("0", "0"),
        ] {
            let quantity = Quantity::parse(text).map(|quantity| quantity.to_string());
            assert_eq!(quantity.as_deref(), Ok(written), "{text}");
        }
    }
}
