//! Renders documents of records as HTML.

use crate::document::{Block, Cell, Note, Table, Tone};

use crate::figures::Column;
use crate::html::{Text, figures};

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

/// A column of marks without a heading becomes part of the next one, which names the row.
fn of_table(of: &Table) -> String {
    let marks = usize::from(of.headings.first().is_some_and(String::is_empty));
    let columns = of.headings.iter().skip(marks);
    let columns: Vec<Column<'_>> = columns
        .map(|heading| Column {
            heading,
            meaning: "",
        })
        .collect();
    let row = |row: &Vec<Cell>| {
        let (marks, cells) = row.split_at(marks.min(row.len()));
        let mut cells: Vec<String> = cells.iter().map(of_cell).collect();
        if let (Some(mark), Some(first)) = (marks.first(), cells.first_mut())
            && !mark.text.is_empty()
        {
            *first = format!("{} {first}", of_cell(mark));
        }
        cells
    };
    let rows: Vec<Vec<String>> = of.rows.iter().map(row).collect();
    figures(&columns, &rows, of.numbers.saturating_sub(marks))
}

fn of_cell(Cell { text, tone }: &Cell) -> String {
    match tone {
        Tone::Good => format!("<b>{}</b>", Text(text)),
        Tone::Bad | Tone::Failing => format!("<span class=bad>{}</span>", Text(text)),
        _ => Text(text).to_string(),
    }
}
