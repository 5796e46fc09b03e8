//! Parses a formula's text into its tree, by recursive descent:
//!
//! ```text
//! sum     = product { ("+" | "-") product }
//! product = signed { ("*" | "/") signed }
//! signed  = "-" signed | power
//! power   = atom [ "^" signed ]
//! atom    = number | { number unit } | name | name "(" sum { "," sum } ")" | "(" sum ")"
//! ```

use std::f64::consts::PI;

use flyball_decision::text;

use super::functions::FUNCTIONS;
use super::{InvalidFormula, Node, Operator};
use crate::time::unit_seconds;

/// Maximum nesting, so that no text exhausts the stack.
const DEEPEST: usize = 64;

pub fn parse(text: &str) -> Result<Node, InvalidFormula> {
    let mut parser = Parser {
        text,
        position: 0,
        depth: 0,
    };
    let node = parser.sum()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.error(parser.position, "expected an operator")),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Byte at which the next token begins, including spaces before it.
    position: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Result<Node, InvalidFormula> {
        let mut node = self.product()?;
        loop {
            let operator = match self.peek() {
                Some('+') => Operator::Add,
                Some('-') => Operator::Subtract,
                _ => return Ok(node),
            };
            self.position += 1;
            node = Node::Binary(operator, Box::new([node, self.product()?]));
        }
    }

    fn product(&mut self) -> Result<Node, InvalidFormula> {
        let mut node = self.signed()?;
        loop {
            let operator = match self.peek() {
                Some('*') => Operator::Multiply,
                Some('/') => Operator::Divide,
                _ => return Ok(node),
            };
            self.position += 1;
            node = Node::Binary(operator, Box::new([node, self.signed()?]));
        }
    }

    fn signed(&mut self) -> Result<Node, InvalidFormula> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(self.position, "nested too deeply"));
        }
        let node = if self.take('-') {
            Node::Negate(Box::new(self.signed()?))
        } else {
            self.power()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn power(&mut self) -> Result<Node, InvalidFormula> {
        let base = self.atom()?;
        if self.take('^') {
            let exponent = self.signed()?;
            return Ok(Node::Binary(Operator::Power, Box::new([base, exponent])));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<Node, InvalidFormula> {
        match self.peek() {
            Some('(') => {
                self.position += 1;
                let node = self.sum()?;
                self.expect(')')?;
                Ok(node)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() => self.name(),
            _ => Err(self.error(self.position, "expected a number, a name or a parenthesis")),
        }
    }

    /// Parses a number, or a duration such as `1h30m`.
    fn number(&mut self) -> Result<Node, InvalidFormula> {
        let mut total = 0.0;
        loop {
            let number = self.digits()?;
            let at = self.position;
            let unit = self.word(|c| c.is_ascii_alphabetic());
            if unit.is_empty() {
                return Ok(Node::Number(total + number));
            }
            let message = format!("unknown unit of time {unit:?} (ms, s, m, h, d)");
            let seconds = unit_seconds(unit).ok_or_else(|| self.error(at, &message))?;
            total += number * seconds;
            if !self.text[self.position..].starts_with(|c: char| c.is_ascii_digit()) {
                return Ok(Node::Number(total));
            }
        }
    }

    fn digits(&mut self) -> Result<f64, InvalidFormula> {
        let start = self.position;
        self.word(|c| c.is_ascii_digit() || c == '.');
        self.position += self.exponent().unwrap_or(0);
        let digits = &self.text[start..self.position];
        let message = format!("{digits:?} is not a number");
        digits.parse().map_err(|_| self.error(start, &message))
    }

    /// Returns the length of an exponent that begins here.
    fn exponent(&self) -> Option<usize> {
        let rest = self.text[self.position..].strip_prefix(['e', 'E'])?;
        let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        (count > 0).then(|| 1 + rest.len() - digits.len() + count)
    }

    fn name(&mut self) -> Result<Node, InvalidFormula> {
        let start = self.position;
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_');
        if self.take('(') {
            return self.call(start, name);
        }
        match name {
            "t" => Ok(Node::Time),
            "i" => Ok(Node::Index),
            "n" => Ok(Node::Count),
            "load" => Ok(Node::Load),
            "ready" => Ok(Node::Ready),
            "pi" => Ok(Node::Number(PI)),
            "minute" => Ok(Node::Number(60.0)),
            "hour" => Ok(Node::Number(3600.0)),
            "day" => Ok(Node::Number(86_400.0)),
            _ => {
                let message = format!(
                    "unknown name {name:?} (t, i, n, pi, minute, hour, day; of metrics also load, ready)"
                );
                Err(self.error(start, &message))
            }
        }
    }

    fn call(&mut self, start: usize, name: &str) -> Result<Node, InvalidFormula> {
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) else {
            let names: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
            let message = format!("unknown function {name:?} ({})", names.join(", "));
            return Err(self.error(start, &message));
        };
        let mut arguments = vec![self.sum()?];
        while self.take(',') {
            arguments.push(self.sum()?);
        }
        self.expect(')')?;
        let (fewest, most) = function.arguments;
        if arguments.len() < fewest || arguments.len() > most {
            let most_arguments = text::counted(most, "argument");
            let range = match fewest == most {
                true => most_arguments,
                false => format!("{fewest} to {most_arguments}"),
            };
            let given = arguments.len();
            let message = format!("{name} takes {range}, not {given}");
            return Err(self.error(start, &message));
        }
        Ok(Node::Call(function, arguments))
    }

    /// Consumes characters as long as `belongs` returns true.
    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.position..];
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.position += end;
        &rest[..end]
    }

    /// Skips spaces and returns the next character.
    fn peek(&mut self) -> Option<char> {
        self.word(char::is_whitespace);
        self.text[self.position..].chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.position += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), InvalidFormula> {
        if self.take(wanted) {
            return Ok(());
        }
        Err(self.error(self.position, &format!("expected {wanted}")))
    }

    fn error(&self, position: usize, message: &str) -> InvalidFormula {
        InvalidFormula {
            text: self.text.to_owned(),
            position: self.text[..position].chars().count() + 1,
            message: message.to_owned(),
        }
    }
}
