//! HTML helpers.

use std::fmt;

use crate::figures::Column;

/// Text that is displayed with escapes for elements and quoted attributes.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (plain, special) = rest.split_at(at);
            f.write_str(plain)?;
            f.write_str(match special.as_bytes()[0] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &special[1..];
        }
        f.write_str(rest)
    }
}

/// Renders a table of figures: columns, then rows of escaped cells. Columns from index
/// `numbers` on are numeric. On a narrow screen each row becomes a card.
pub fn figures(columns: &[Column<'_>], rows: &[Vec<String>], numbers: usize) -> String {
    table("cards", columns, rows, numbers)
}

/// Renders a table of short escaped cells, the last of which is a sentence. On a narrow
/// screen it is below the others.
pub fn sentences(columns: &[Column<'_>], rows: &[Vec<String>]) -> String {
    table("lines", columns, rows, columns.len())
}

fn table(class: &str, columns: &[Column<'_>], rows: &[Vec<String>], numbers: usize) -> String {
    let is_number = |index: usize| if index >= numbers { " class=n" } else { "" };
    let mut table = format!("<div class=\"table {class}\"><table><thead><tr>");
    for (index, column) in columns.iter().enumerate() {
        let (class, heading) = (is_number(index), Text(column.heading));
        table += &format!("<th{class}>{heading}</th>");
    }
    table += "</tr></thead><tbody>";
    for row in rows {
        table += "<tr>";
        for (index, (cell, column)) in row.iter().zip(columns).enumerate() {
            // Cards repeat the heading, except for their title.
            let heading = match index > 0 && class == "cards" {
                true => format!(" data-h=\"{}\"", Text(column.heading)),
                false => String::new(),
            };
            let class = is_number(index);
            table += &format!("<td{class}{heading}>{cell}</td>");
        }
        table += "</tr>\n";
    }
    table + "</tbody></table></div>\n"
}

/// Renders what columns mean.
pub fn legend<'a>(columns: impl IntoIterator<Item = &'a Column<'a>>) -> String {
    let entry = |Column { heading, meaning }: &Column<'_>| {
        format!("<dt>{}</dt><dd>{}</dd>", Text(heading), Text(meaning))
    };
    let entries: String = columns.into_iter().map(entry).collect();
    format!(
        "<details class=legend><summary>What the columns mean</summary><dl>{entries}</dl></details>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn markup_in_text_stays_text() {
        let text = Text("a<b> & \"c\" 'd' é").to_string();
        assert_eq!(text, "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; é");
    }
}
