//! The functions of a formula.

use super::Moment;
use crate::random;

/// Maximum number of arguments of a function.
pub const MAX_ARGUMENTS: usize = 3;

/// A function of a formula.
#[derive(Debug)]
pub struct Function {
    /// Name in formulas.
    pub name: &'static str,
    /// Minimum and maximum number of arguments.
    pub arguments: (usize, usize),
    /// Computes the value.
    pub apply: fn(&Moment, &[f64]) -> f64,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// All functions.
pub static FUNCTIONS: [Function; 16] = [
    function("sin", 1, |_, x| libm::sin(x[0])),
    function("cos", 1, |_, x| libm::cos(x[0])),
    function("exp", 1, |_, x| libm::exp(x[0])),
    function("ln", 1, |_, x| libm::log(x[0])),
    function("sqrt", 1, |_, x| x[0].sqrt()),
    function("abs", 1, |_, x| x[0].abs()),
    function("floor", 1, |_, x| x[0].floor()),
    function("min", 2, |_, x| least(x[0], x[1])),
    function("max", 2, |_, x| most(x[0], x[1])),
    function("clamp", 3, |_, x| least(most(x[0], x[1]), x[2])),
    function("mod", 2, |_, x| x[0] - x[1] * (x[0] / x[1]).floor()),
    function("step", 1, |_, x| if x[0] < 0.0 { 0.0 } else { 1.0 }),
    function("ramp", 2, |moment, x| {
        least(most((moment.t - x[0]) / x[1], 0.0), 1.0)
    }),
    function("pulse", 2, |moment, x| {
        let since = moment.t - x[0];
        if since >= 0.0 && since < x[1] {
            1.0
        } else {
            0.0
        }
    }),
    function("bell", 2, |moment, x| {
        let deviations = (moment.t - x[0]) / x[1];
        libm::exp(-deviations * deviations / 2.0)
    }),
    Function {
        name: "noise",
        arguments: (1, 2),
        apply: |moment, x| {
            let period = x.get(1).copied().unwrap_or(60.0);
            let seed = random::draw(&[moment.seed, x[0].to_bits()]);
            random::smooth_noise(seed, moment.t / period)
        },
    },
];

const fn function(
    name: &'static str,
    arguments: usize,
    apply: fn(&Moment, &[f64]) -> f64,
) -> Function {
    Function {
        name,
        arguments: (arguments, arguments),
        apply,
    }
}

/// Returns the minimum. Unlike `f64::min` it returns NaN if `x` is NaN.
fn least(x: f64, y: f64) -> f64 {
    if y < x { y } else { x }
}

/// Returns the maximum. Unlike `f64::max` it returns NaN if `x` is NaN.
fn most(x: f64, y: f64) -> f64 {
    if y > x { y } else { x }
}
