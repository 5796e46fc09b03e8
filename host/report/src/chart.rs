//! Charts over time as inline SVG. The SVG is stretched to the page's width; text is in
//! HTML beside it, so that it is readable on a phone.

use std::fmt::Write as _;

use crate::html::Text;
use crate::text::{abbreviated, figure};

/// Size of the SVG's coordinate system.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;

/// Maximum number of rows of numbers of marks.
const NUMBER_ROWS: usize = 6;
/// Width of a mark's number on a narrow screen, in percent of the chart's.
const NUMBER_WIDTH: f64 = 6.0;
/// A label of the time axis from this place on, in percent, ends there. Others have it in
/// their middle.
const LAST_LABEL: f64 = 92.0;
/// Candidate distances of marks on the time axis, in minutes.
const TIME_STEPS: [f64; 16] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 180.0, 240.0, 360.0, 720.0, 1440.0, 2880.0,
    10_080.0, 43_200.0,
];

/// A chart.
pub struct Chart<'a> {
    /// Title.
    pub title: &'a str,
    /// Unit of the values.
    pub unit: &'a str,
    /// Minutes since the start, ascending.
    pub minutes: &'a [f64],
    /// Length of the run in minutes.
    pub length: f64,
    /// The curves, the first one at the back.
    pub curves: Vec<Curve<'a>>,
    /// A level to mark, and its name.
    pub level: Option<(f64, &'a str)>,
    /// Times to mark.
    pub marks: &'a [Mark],
}

/// A curve of a chart.
pub struct Curve<'a> {
    /// Name.
    pub name: &'a str,
    /// Colour, from 0 to 7.
    pub colour: usize,
    /// Style.
    pub style: Style,
    /// How its line is dashed: 0 not at all, then 1 and 2. So curves that run over each
    /// other remain visible.
    pub dash: usize,
    /// A value for each of the chart's minutes.
    pub values: Vec<f64>,
}

impl Curve<'_> {
    /// Returns the curve with a dashed line, differently for each number.
    pub fn dashed(self, number: usize) -> Self {
        Self {
            dash: number % 3,
            ..self
        }
    }

    /// Returns the CSS classes of its colour, style and dashes.
    fn class(&self) -> String {
        let style = match self.style {
            Style::Backdrop | Style::WideSteps => " wide",
            Style::Stack => " filled",
            Style::Line | Style::Steps | Style::Area => "",
        };
        let dash = match self.dash {
            0 => String::new(),
            dash => format!(" d{dash}"),
        };
        format!("c{}{style}{dash}", self.colour)
    }
}

/// How a curve is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Straight lines between points.
    Line,
    /// Straight lines between points, filled below.
    Area,
    /// As `Area`, with a wide and pale line, which a curve on it does not hide.
    Backdrop,
    /// Constant until the next point.
    Steps,
    /// As `Steps`, with a wide and pale line, which a curve on it does not hide.
    WideSteps,
    /// Constant until the next point, filled, on top of the stacked curves before it.
    Stack,
}

impl Style {
    fn is_level(self) -> bool {
        matches!(self, Self::Steps | Self::WideSteps | Self::Stack)
    }
}

/// A mark on the time axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Minutes since the start.
    pub minutes: f64,
    /// Label.
    pub label: String,
}

/// Renders what the numbers of marks stand for. Empty without marks.
pub fn list(marks: &[Mark]) -> String {
    if marks.is_empty() {
        return String::new();
    }
    let entry = |mark: &Mark| format!("<li>{}</li>", Text(&mark.label));
    let entries: String = marks.iter().map(entry).collect();
    format!("<ol class=marks>{entries}</ol>\n")
}

impl Chart<'_> {
    /// Renders the chart as a `figure` element. A chart of zeros has no plot.
    pub fn html(&self) -> String {
        let title = format!(
            "<figcaption><b>{}</b> <span class=unit>{}</span></figcaption>\n",
            Text(self.title),
            Text(self.unit)
        );
        if self.largest() <= 0.0 {
            return format!("<figure>{title}<p class=none>0 throughout the run</p></figure>\n");
        }
        let step = self.value_step();
        let top = self.top(step);
        let mut html = format!("<figure>{title}<p class=keys>{}</p>\n", self.legend());
        html += "<div class=plot>";
        html += &self.value_labels(step, top);
        html += "<div class=area>";
        html += &self.svg(step, top);
        html += &self.mark_numbers();
        html += "</div>";
        html += &self.time_labels();
        html += "</div>";
        html += &self.data();
        html + "</figure>\n"
    }

    fn legend(&self) -> String {
        let entry = |curve: &Curve<'_>| {
            let (class, name) = (curve.class(), Text(curve.name));
            format!("<span class=\"key {class}\">{name}</span>")
        };
        let level = self.level.map_or_else(String::new, |(_, name)| {
            format!("<span class=\"key level\">{}</span>", Text(name))
        });
        self.curves.iter().map(entry).collect::<String>() + &level
    }

    /// Returns the largest value shown.
    fn largest(&self) -> f64 {
        let values = self.curves.iter().flat_map(|curve| &curve.values);
        let level = self.level.map_or(0.0, |level| level.0);
        let largest = values.fold(level, |largest, value| largest.max(*value));
        self.stacked().fold(largest, f64::max)
    }

    /// Returns the heights of the stack.
    fn stacked(&self) -> impl Iterator<Item = f64> {
        let stack = |row: usize| {
            let curves = self.curves.iter();
            let stacked = curves.filter(|curve| curve.style == Style::Stack);
            stacked.map(|curve| curve.values[row]).sum()
        };
        (0..self.minutes.len()).map(stack)
    }

    /// Returns the distance of marks on the value axis: 1, 2 or 5 times a power of ten; a
    /// whole number if the curves are counts.
    fn value_step(&self) -> f64 {
        let wanted = self.largest() / 4.0;
        let mut power = 1e-9;
        while power * 10.0 <= wanted {
            power *= 10.0;
        }
        let factors = [1.0, 2.0, 5.0, 10.0];
        let factor = factors.into_iter().find(|factor| factor * power >= wanted);
        let step = factor.unwrap_or(10.0) * power;
        let are_counts = self.curves.iter().any(|curve| curve.style.is_level());
        if are_counts { step.max(1.0) } else { step }
    }

    /// Returns the upper end of the value axis.
    fn top(&self, step: f64) -> f64 {
        (self.largest() / step).ceil().max(1.0) * step
    }

    fn value_labels(&self, step: f64, top: f64) -> String {
        let mut html = String::from("<div class=values>");
        for value in levels(step, top) {
            let place = 100.0 * value / top;
            let _ = write!(
                html,
                "<i style=\"bottom:{place:.2}%\">{}</i>",
                abbreviated(value)
            );
        }
        html + "</div>"
    }

    fn time_marks(&self) -> Vec<f64> {
        let fits = |step: &f64| self.length / step <= 8.0;
        let step = TIME_STEPS.into_iter().find(fits).unwrap_or(self.length);
        let mut marks = Vec::new();
        let mut at = 0.0;
        while at <= self.length {
            marks.push(at);
            at += step;
        }
        marks
    }

    fn time_labels(&self) -> String {
        let mut html = String::from("<div class=times>");
        for at in self.time_marks() {
            let place = 100.0 * at / self.length;
            let last = if place > LAST_LABEL {
                " class=last"
            } else {
                ""
            };
            let text = clock(at);
            let _ = write!(html, "<i{last} style=\"left:{place:.2}%\">{text}</i>");
        }
        html + "</div>"
    }

    /// Renders the numbers of the marks, below each other where they would overlap.
    fn mark_numbers(&self) -> String {
        // Places of the numbers in each row.
        let mut rows: [Vec<f64>; NUMBER_ROWS] = Default::default();
        let number = |(index, mark): (usize, &Mark)| {
            let place = 100.0 * mark.minutes / self.length;
            let is_free = |row: &Vec<f64>| {
                let mut near = row.iter().map(|other| (other - place).abs());
                near.all(|distance| distance >= NUMBER_WIDTH)
            };
            let row = rows.iter().position(is_free).unwrap_or(NUMBER_ROWS - 1);
            rows[row].push(place);
            let top = 1.15 * row as f64;
            let number = index + 1;
            format!("<u style=\"left:{place:.2}%;top:{top:.2}rem\">{number}</u>")
        };
        self.marks.iter().enumerate().map(number).collect()
    }

    fn svg(&self, step: f64, top: f64) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=none role=img aria-label=\"{}\">",
            Text(self.title)
        );
        let mut grid = String::new();
        for value in levels(step, top) {
            let _ = write!(grid, "M0 {:.1}H{WIDTH}", height(value, top));
        }
        for at in self.time_marks() {
            let _ = write!(grid, "M{:.1} 0V{HEIGHT}", self.across(at));
        }
        let _ = write!(svg, "<path class=grid d=\"{grid}\"/>");
        let mut base = vec![0.0; self.minutes.len()];
        for curve in &self.curves {
            if curve.style == Style::Stack {
                svg += &self.layer(curve, &mut base, top);
            } else {
                svg += &self.path(curve, top);
            }
        }
        if let Some((value, _)) = self.level {
            let y = height(value, top);
            let _ = write!(svg, "<path class=level d=\"M0 {y:.1}H{WIDTH}\"/>");
        }
        for mark in self.marks {
            let x = self.across(mark.minutes);
            let _ = write!(svg, "<path class=mark d=\"M{x:.1} 0V{HEIGHT}\"/>");
        }
        svg + "</svg>"
    }

    fn path(&self, curve: &Curve<'_>, top: f64) -> String {
        let mut line = String::new();
        let mut last = None;
        for (at, value) in self.minutes.iter().zip(&curve.values) {
            let (x, y) = (self.across(*at), height(*value, top));
            let _ = match (last, curve.style) {
                (None, _) => write!(line, "M{x:.1} {y:.1}"),
                // A level needs no point as long as it stays the same.
                (Some(before), style) if style.is_level() && before == *value => Ok(()),
                (Some(_), style) if style.is_level() => write!(line, "H{x:.1}V{y:.1}"),
                (Some(_), _) => write!(line, "L{x:.1} {y:.1}"),
            };
            last = Some(*value);
        }
        if curve.style.is_level() {
            let _ = write!(line, "H{WIDTH}");
        }
        let colour = curve.colour;
        let fill = match curve.style {
            Style::Area | Style::Backdrop => {
                let end = self.minutes.last().map_or(0.0, |at| self.across(*at));
                format!(
                    "<path class=\"fill c{colour}\" d=\"{line}L{end:.1} {HEIGHT}L0 {HEIGHT}Z\"/>"
                )
            }
            _ => String::new(),
        };
        let class = curve.class();
        format!("{fill}<path class=\"line {class}\" d=\"{line}\"/>")
    }

    /// Renders a layer of the stack on top of `base`, and adds its values to `base`.
    fn layer(&self, curve: &Curve<'_>, base: &mut [f64], top: f64) -> String {
        let level = |values: &[f64]| {
            let points = self.minutes.iter().zip(values);
            points
                .map(|(at, value)| (self.across(*at), height(*value, top)))
                .collect::<Vec<_>>()
        };
        let below = level(base);
        for (base, value) in base.iter_mut().zip(&curve.values) {
            *base += value;
        }
        let mut line = String::new();
        for (number, (x, y)) in level(base).into_iter().enumerate() {
            let _ = match number {
                0 => write!(line, "M{x:.1} {y:.1}"),
                _ => write!(line, "H{x:.1}V{y:.1}"),
            };
        }
        let _ = write!(line, "H{WIDTH}");
        for (x, y) in below.into_iter().rev() {
            let _ = write!(line, "V{y:.1}H{x:.1}");
        }
        format!("<path class=\"stack c{}\" d=\"{line}Z\"/>", curve.colour)
    }

    fn across(&self, minutes: f64) -> f64 {
        WIDTH * minutes / self.length
    }

    /// Renders the values as JSON, for the tooltip.
    fn data(&self) -> String {
        let row = |values: &[f64]| {
            let values: Vec<String> = values.iter().map(|value| figure(*value)).collect();
            format!("[{}]", values.join(","))
        };
        let curve = |curve: &Curve<'_>| {
            // A `<` would end the element early.
            let name = serde_json::Value::from(curve.name).to_string();
            format!("[{},{}]", name.replace('<', "\\u003c"), row(&curve.values))
        };
        let curves: Vec<String> = self.curves.iter().map(curve).collect();
        format!(
            "<script type=\"application/json\">{{\"length\":{},\"x\":{},\"curves\":[{}]}}</script>",
            figure(self.length),
            row(self.minutes),
            curves.join(",")
        )
    }
}

fn height(value: f64, top: f64) -> f64 {
    HEIGHT * (1.0 - value / top)
}

fn levels(step: f64, top: f64) -> impl Iterator<Item = f64> {
    let count = (top / step).round() as u32;
    (0..=count).map(move |number| f64::from(number) * step)
}

/// Formats minutes since the start as a time of day, or as days.
fn clock(minutes: f64) -> String {
    let minutes = minutes as u64;
    let (days, rest) = (minutes / 1440, minutes % 1440);
    match (days, rest) {
        (days, 0) if days > 0 => format!("{days}d"),
        (0, rest) => format!("{:02}:{:02}", rest / 60, rest % 60),
        (days, rest) => format!("{days}d {:02}:{:02}", rest / 60, rest % 60),
    }
}
