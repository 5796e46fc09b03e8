//! HTML helpers.

use std::fmt;

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

/// Renders a table: headings, then rows of escaped cells. Columns from index `numbers` on
/// are numeric.
pub fn table(headings: &[&str], rows: &[Vec<String>], numbers: usize) -> String {
    let mut table = String::from("<div class=wide><table><thead><tr>");
    for (column, heading) in headings.iter().enumerate() {
        let class = if column >= numbers { " class=n" } else { "" };
        table += &format!("<th{class}>{}</th>", Text(heading));
    }
    table += "</tr></thead><tbody>";
    for row in rows {
        table += "<tr>";
        for (column, cell) in row.iter().enumerate() {
            let class = if column >= numbers { " class=n" } else { "" };
            table += &format!("<td{class}>{cell}</td>");
        }
        table += "</tr>\n";
    }
    table + "</tbody></table></div>\n"
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
