//! Prices of nodes from a file, for clouds that don't report them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_path_to_error::Segment;
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _};

/// Prices of nodes by instance type, zone and purchase: the rows of `--node-prices`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodePrices {
    /// Price for an hour by row.
    prices: BTreeMap<RowKey, f64>,
}

/// Which nodes a row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RowKey {
    instance_type: String,
    /// `None` for any purchase.
    spot: Option<bool>,
    /// `None` for any zone.
    zone: Option<String>,
}

/// A row of the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    instance_type: String,
    zone: Option<String>,
    purchase: Option<Purchase>,
    price: f64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Purchase {
    Spot,
    OnDemand,
}

/// Why a file with prices can't be used. Rows are counted from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PricesError {
    /// It is not a list of rows with these fields.
    #[error("line {line}: {place}: {message}")]
    Syntax {
        /// Line, from 1.
        line: u64,
        /// Row and field.
        place: String,
        /// The error.
        message: String,
    },
    /// A row has no price that a node can have.
    #[error("row {row} ({instance_type}): {price} is no price: it must be above 0")]
    Price {
        /// The row.
        row: usize,
        /// Its instance type.
        instance_type: String,
        /// Its price.
        price: f64,
    },
    /// Two rows are about the same nodes.
    #[error("rows {first} and {second} ({instance_type}) are about the same nodes")]
    Twice {
        /// Their instance type.
        instance_type: String,
        /// A row.
        first: usize,
        /// The other.
        second: usize,
    },
}

impl NodePrices {
    /// Parses a YAML list of rows with `instanceType`, `price` for an hour, and optionally
    /// `zone` and `purchase` (`spot` or `on-demand`). An empty file has no prices.
    ///
    /// # Errors
    /// If it is not such a list, a price is not above 0, or two rows are about the same
    /// nodes. The error names the row.
    pub fn parse(text: &str) -> Result<Self, PricesError> {
        let mut place = String::new();
        let read = |deserializer: serde_saphyr::Deserializer<'_, '_>| {
            serde_path_to_error::deserialize(deserializer).map_err(|error| {
                place = place_of(error.path());
                error.into_inner()
            })
        };
        let rows: Option<Vec<Row>> = serde_saphyr::with_deserializer_from_str(text, read)
            .map_err(|error| syntax(place, &error))?;
        Self::from_rows(rows.unwrap_or_default())
    }

    fn from_rows(rows: Vec<Row>) -> Result<Self, PricesError> {
        let mut prices = BTreeMap::new();
        let mut numbers: BTreeMap<RowKey, usize> = BTreeMap::new();
        for (row, number) in rows.into_iter().zip(1..) {
            let (instance_type, price) = (row.instance_type, row.price);
            if !price.is_finite() || price <= 0.0 {
                return Err(PricesError::Price {
                    row: number,
                    instance_type,
                    price,
                });
            }
            let key = RowKey {
                instance_type,
                spot: row.purchase.map(|one| matches!(one, Purchase::Spot)),
                zone: row.zone,
            };
            if let Some(first) = numbers.insert(key.clone(), number) {
                return Err(PricesError::Twice {
                    instance_type: key.instance_type,
                    first,
                    second: number,
                });
            }
            prices.insert(key, price);
        }
        Ok(Self { prices })
    }

    /// Returns the price for an hour of a node of a group. The most specific row counts: a
    /// row with the purchase before one with the zone, and these before one with neither.
    /// If the group is in several zones, that of the most expensive one counts, since the
    /// cloud chooses the zone. `None` if no row fits, or none in some zone.
    #[must_use]
    pub fn price(
        &self,
        instance_type: &str,
        zones: &[Arc<str>],
        spot: Option<bool>,
    ) -> Option<f64> {
        let in_zone = |zone: Option<&str>| {
            let keys = [(spot, zone), (spot, None), (None, zone), (None, None)];
            let mut keys = keys.into_iter().map(|(spot, zone)| RowKey {
                instance_type: instance_type.to_owned(),
                spot,
                zone: zone.map(str::to_owned),
            });
            keys.find_map(|key| self.prices.get(&key).copied())
        };
        if zones.is_empty() {
            return in_zone(None);
        }
        let prices: Option<Vec<f64>> = zones.iter().map(|zone| in_zone(Some(zone))).collect();
        prices?.into_iter().reduce(f64::max)
    }
}

/// Names the row and the field of a path.
fn place_of(path: &serde_path_to_error::Path) -> String {
    let mut segments = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(format!("row {}", index + 1)),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    let row = segments.next();
    let row = row.unwrap_or_else(|| "the file".to_owned());
    segments.fold(row, |place, field| format!("{place}: {field}"))
}

fn syntax(place: String, error: &serde_saphyr::Error) -> PricesError {
    let message = DefaultMessageFormatter.format_message(error.without_snippet());
    let place = if place.is_empty() {
        "the file".to_owned()
    } else {
        place
    };
    PricesError::Syntax {
        line: error.location().map_or(0, |location| location.line()),
        place,
        message: message.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::NodePrices;

    const PRICES: &str = "
- {instanceType: m5.large, price: 0.10}
- {instanceType: m5.large, zone: eu-west-1a, price: 0.11}
- {instanceType: m5.large, zone: eu-west-1b, price: 0.12}
- {instanceType: m5.large, purchase: spot, price: 0.04}
- {instanceType: m5.large, zone: eu-west-1a, purchase: spot, price: 0.03}
- {instanceType: c5.large, zone: eu-west-1a, price: 0.2}
";

    #[test]
    fn the_most_specific_row_wins() {
        let prices = NodePrices::parse(PRICES).unwrap_or_default();
        let price = |kind, zones: &str, spot| {
            let zones: Vec<_> = zones.split_whitespace().map(Into::into).collect();
            prices.price(kind, &zones, spot)
        };
        for (zones, spot, expected) in [
            ("", None, 0.10),
            ("eu-west-1c", Some(false), 0.10),
            ("eu-west-1a", None, 0.11),
            ("eu-west-1a", Some(false), 0.11),
            ("eu-west-1a", Some(true), 0.03),
            ("eu-west-1b", Some(true), 0.04),
            ("eu-west-1a eu-west-1b eu-west-1c", None, 0.12),
        ] {
            let found = price("m5.large", zones, spot);
            assert_eq!(found, Some(expected), "{zones} {spot:?}");
        }
        assert_eq!(price("c5.large", "eu-west-1a eu-west-1b", None), None);
        assert_eq!(price("m6.large", "", None), None);
        assert_eq!(NodePrices::parse("").ok(), Some(NodePrices::default()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_row() {
        let problem = |text: &str| {
            let error = NodePrices::parse(text).err();
            error.map_or_else(String::new, |error| error.to_string())
        };
        let good = "- {instanceType: a, price: 1}\n";
        let with = |row: &str| problem(&format!("{good}- {{{row}}}\n"));
        assert_eq!(
            with("instanceType: b, price: 0"),
            "row 2 (b): 0 is no price: it must be above 0"
        );
        assert!(with("instanceType: b, price: -.inf").starts_with("row 2 (b): "));
        assert!(with("instanceType: b, price: .nan").starts_with("row 2 (b): "));
        assert_eq!(
            with("instanceType: a, price: 2"),
            "rows 1 and 2 (a) are about the same nodes"
        );
        let dear = with("instanceType: b, price: dear");
        assert!(dear.starts_with("line 2: row 2: price: "), "{dear}");
        let purchase = with("instanceType: b, price: 1, purchase: reserved");
        assert!(
            purchase.starts_with("line 2: row 2: purchase: "),
            "{purchase}"
        );
        let unknown = with("instanceType: b, price: 1, region: x");
        assert!(unknown.starts_with("line 2: row 2"), "{unknown}");
        let missing = with("price: 1");
        assert!(
            missing.contains("row 2") && missing.contains("instanceType"),
            "{missing}"
        );
        let map = problem("instanceType: a\nprice: 1\n");
        assert!(map.starts_with("line 1: the file: "), "{map}");
    }
}
