//! Renders documents of records as HTML.

use crate::document::{Block, Cell, Note, Table, Tone};

use crate::html::{Text, table};

/// Renders blocks one after the other; consecutive notes become lists.
pub fn html(blocks: &[Block]) -> String {
    let mut html = String::new();
    for group in blocks.chunk_by(|a, b| is_note(a) && is_note(b)) {
        match group {
            [Block::Table(one)] => html += &of_table(one),
            notes => html += &list(notes),
        }
    }
    html
}

fn is_note(block: &Block) -> bool {
    matches!(block, Block::Note(_))
}

fn list(blocks: &[Block]) -> String {
    let mut html = String::new();
    let mut depth = 0;
    for block in blocks {
        let Block::Note(note) = block else { continue };
        html += &to_depth(&mut depth, note.level + 1);
        html += &format!("<li>{}</li>", line(note));
    }
    html + &to_depth(&mut depth, 0) + "\n"
}

/// Returns the tags that open or close lists up to a depth.
fn to_depth(depth: &mut usize, wanted: usize) -> String {
    let opened = "<ul>".repeat(wanted.saturating_sub(*depth));
    let closed = "</ul>".repeat(depth.saturating_sub(wanted));
    *depth = wanted;
    opened + &closed
}

fn line(note: &Note) -> String {
    let Note {
        tone,
        subject,
        text,
        ..
    } = note;
    let text = Text(text);
    let line = match &**subject {
        "" => text.to_string(),
        subject => format!("<b>{}</b> {text}", Text(subject)),
    };
    match tone {
        Tone::Bad | Tone::Failing => format!("<span class=bad>{line}</span>"),
        _ => line,
    }
}

fn of_table(of: &Table) -> String {
    let headings: Vec<&str> = of.headings.iter().map(String::as_str).collect();
    let cell = |Cell { text, tone }: &Cell| match tone {
        Tone::Good => format!("<b>{}</b>", Text(text)),
        Tone::Bad | Tone::Failing => format!("<span class=bad>{}</span>", Text(text)),
        _ => Text(text).to_string(),
    };
    let rows = of.rows.iter();
    let rows: Vec<Vec<String>> = rows.map(|row| row.iter().map(cell).collect()).collect();
    table(&headings, &rows, of.numbers)
}
