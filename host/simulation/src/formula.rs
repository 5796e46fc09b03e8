//! Formulas for load over time, such as `40 + 30 * sin(2 * pi * t / 1d)`.
//!
//! Arithmetic is that of IEEE 754 with functions of the `libm` crate, so that a
//! formula has the same value on every platform.

mod functions;
mod parser;

use std::fmt;

use serde::{Deserialize, Deserializer};

use functions::Function;

/// A parsed formula.
///
/// Operators: `+ - * / ^` and parentheses. Numbers may carry a unit of time and
/// are then seconds: `90s`, `5m`, `1h30m`, `1d`. Names: `t` (seconds since the
/// start), `i` (the workload's number among its copies, from 0), `n` (number of
/// copies), `pi`, `minute`, `hour`, `day`; in the formula of a metric also `load`
/// (requests per second, the mean over the measurement) and `ready` (Ready pods at its
/// end). Functions:
///
/// | function | value |
/// |---|---|
/// | `sin(x)` `cos(x)` `exp(x)` `ln(x)` `sqrt(x)` `abs(x)` `floor(x)` | as in mathematics |
/// | `min(x, y)` `max(x, y)` `clamp(x, low, high)` `mod(x, y)` | `mod` is never negative for a positive `y` |
/// | `step(x)` | 0 below 0, else 1: `step(t - 2h)` |
/// | `ramp(at, width)` | 0 until `at`, then rising to 1 over `width` |
/// | `pulse(at, width)` | 1 from `at` for `width`, else 0 |
/// | `bell(at, width)` | a bell curve of height 1 around `at` with deviation `width` |
/// | `noise(k)` `noise(k, period)` | -1 to 1, wandering to a new value each `period` (60s); another `k`, another course |
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    text: String,
    root: Node,
}

/// The error of a text that is not a formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("formula: {message} at character {position} of {text:?}")]
pub struct InvalidFormula {
    /// The text.
    pub text: String,
    /// Position of the error, from 1.
    pub position: usize,
    /// What is wrong.
    pub message: String,
}

/// The variables of a formula.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Seconds since the start.
    pub t: f64,
    /// The workload's number among its copies, from 0.
    pub index: f64,
    /// Number of copies.
    pub count: f64,
    /// Seed of the noise functions.
    pub seed: u64,
    /// Requests per second.
    pub load: f64,
    /// Number of Ready pods.
    pub ready: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Number(f64),
    Time,
    Index,
    Count,
    Load,
    Ready,
    Negate(Box<Node>),
    Binary(Operator, Box<[Node; 2]>),
    Call(&'static Function, Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

impl Formula {
    /// Parses a formula.
    ///
    /// # Errors
    /// If `text` is not one, with the position and what was expected there.
    pub fn parse(text: &str) -> Result<Self, InvalidFormula> {
        let root = parser::parse(text)?;
        Ok(Self {
            text: text.to_owned(),
            root,
        })
    }

    /// Reports whether the formula depends on the load or on the Ready pods.
    #[must_use]
    pub fn is_of_workload(&self) -> bool {
        self.root.is_of_workload()
    }

    /// Evaluates the formula. The value may be any number, NaN included: the caller has
    /// to check it.
    #[must_use]
    pub fn value(&self, moment: &Moment) -> f64 {
        self.root.value(moment)
    }
}

impl Node {
    fn is_of_workload(&self) -> bool {
        match self {
            Self::Load | Self::Ready => true,
            Self::Number(_) | Self::Time | Self::Index | Self::Count => false,
            Self::Negate(node) => node.is_of_workload(),
            Self::Binary(_, sides) => sides.iter().any(Self::is_of_workload),
            Self::Call(_, arguments) => arguments.iter().any(Self::is_of_workload),
        }
    }

    fn value(&self, moment: &Moment) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Time => moment.t,
            Self::Index => moment.index,
            Self::Count => moment.count,
            Self::Load => moment.load,
            Self::Ready => moment.ready,
            Self::Negate(node) => -node.value(moment),
            Self::Binary(operator, sides) => {
                operator.apply(sides[0].value(moment), sides[1].value(moment))
            }
            Self::Call(function, arguments) => {
                let mut values = [0.0; functions::MAX_ARGUMENTS];
                for (value, argument) in values.iter_mut().zip(arguments) {
                    *value = argument.value(moment);
                }
                (function.apply)(moment, &values[..arguments.len()])
            }
        }
    }
}

impl Operator {
    fn apply(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Power => libm::pow(left, right),
        }
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Formula {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Formula, Moment};

    fn value(text: &str, t: f64) -> f64 {
        let moment = Moment {
            t,
            index: 3.0,
            count: 10.0,
            seed: 1,
            ..Moment::default()
        };
        Formula::parse(text)
            .map(|formula| formula.value(&moment))
            .expect(text)
    }

    #[test]
    fn formulas_follow_the_rules_of_arithmetic() {
        let cases = [
            ("1 + 2 * 3", 0.0, 7.0),
            ("(1 + 2) * 3", 0.0, 9.0),
            ("2 ^ 3 ^ 2", 0.0, 512.0),
            ("-2 ^ 2", 0.0, -4.0),
            ("2 ^ -1", 0.0, 0.5),
            ("8 - 4 - 2", 0.0, 2.0),
            ("1.5e2", 0.0, 150.0),
            ("2h + 30m", 0.0, 9000.0),
            ("2h30m * 2", 0.0, 18_000.0),
            ("t / hour", 7200.0, 2.0),
            ("i + n", 0.0, 13.0),
            ("max(1, min(t, 5))", 3.0, 3.0),
            ("clamp(t, 1, 2)", 9.0, 2.0),
            ("mod(-1, 24)", 0.0, 23.0),
            ("step(t - 1m)", 59.0, 0.0),
            ("step(t - 1m)", 60.0, 1.0),
            ("pulse(1m, 10s)", 69.0, 1.0),
            ("pulse(1m, 10s)", 70.0, 0.0),
            ("ramp(1m, 20s)", 70.0, 0.5),
            ("bell(1h, 5m)", 3600.0, 1.0),
            ("cos(0) + exp(0) + sqrt(4) + abs(-1)", 0.0, 5.0),
        ];
        for (text, t, expected) in cases {
            assert_eq!(value(text, t), expected, "{text}");
        }
        assert!(value("sin(2 * pi * t / day)", 21_600.0) > 0.999_999);
    }

    #[test]
    fn noise_is_bounded_steady_and_its_own_for_each_number() {
        let course = |text: &str| {
            (0..600)
                .map(|t| value(text, f64::from(t)))
                .collect::<Vec<_>>()
        };
        let noise = course("noise(1)");
        assert!(noise.iter().all(|value| value.abs() <= 1.0));
        assert_eq!(noise, course("noise(1, 60s)"));
        assert_ne!(noise, course("noise(2)"));
        assert!(
            noise
                .windows(2)
                .all(|pair| (pair[0] - pair[1]).abs() < 0.05)
        );
    }

    #[test]
    fn what_is_no_formula_is_told_with_its_place() {
        let cases = [
            ("", 1, "expected a number, a name or a parenthesis"),
            ("1 +", 4, "expected a number, a name or a parenthesis"),
            ("(1", 3, "expected )"),
            ("1 2", 3, "expected an operator"),
            ("x + 1", 1, "unknown name \"x\""),
            ("2 + foo(1)", 5, "unknown function \"foo\""),
            ("sin(1, 2)", 1, "sin takes 1 argument, not 2"),
            ("5q", 2, "unknown unit of time \"q\""),
            ("1 $ 2", 3, "expected an operator"),
            ("1..2", 1, "\"1..2\" is not a number"),
        ];
        for (text, position, message) in cases {
            let error = Formula::parse(text).expect_err(text);
            assert_eq!(error.position, position, "{error}");
            assert!(error.message.starts_with(message), "{error}");
        }
        assert!(Formula::parse(&"(".repeat(100_000)).is_err());
        assert!(Formula::parse(&"-".repeat(100_000)).is_err());
    }
}
