//! Pages of which a part is generated, between two marks.

use anyhow::Context as _;

const END: &str = "<!-- end of generated -->";

/// Replaces the part of a page between its marks.
pub fn replace(name: &str, page: &str, part: &str, content: &str) -> anyhow::Result<String> {
    let begin = format!("<!-- generated: {part} -->\n");
    let found = page.split_once(&begin);
    let found = found.and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = found.with_context(|| format!("{name} has no part {part:?}"))?;
    Ok(format!(
        "{before}{begin}\n{}\n\n{END}{after}",
        content.trim()
    ))
}

/// Returns the names of a page's generated parts.
pub fn parts(page: &str) -> Vec<&str> {
    let marks = page.split("<!-- generated: ").skip(1);
    marks.filter_map(|rest| rest.split(" -->").next()).collect()
}
