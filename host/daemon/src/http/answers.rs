//! Answers that are lists. Their size is limited, and they are written while they are
//! taken: only one item of them is in memory as text.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::Serialize;

/// Maximum size of an answer, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// Maximum number of records in an answer.
pub const MAX_RECORDS: usize = 10_000;

/// Header of an answer that lacks items, with their number, because it would be larger than
/// [`MAX_BYTES`].
pub const LEFT_OUT: &str = "flyball-left-out";

/// Header of an answer of a daemon that does not lead, with the identity of the one that
/// does.
pub const LEADER: &str = "flyball-leader";

/// Form of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A JSON array.
    Array,
    /// Lines of JSON.
    Lines,
}

/// Returns an answer with these items. `latest` are ordered with the most important one
/// first: if there are too many, the last ones are left out. They are written in the
/// opposite order.
pub fn latest_last<T: Serialize + Send + Sync + 'static>(
    mut latest: Vec<Arc<T>>,
    form: Form,
    max_bytes: usize,
) -> Response {
    let left_out = truncate(&mut latest, max_bytes);
    latest.reverse();
    answer(latest, form, left_out)
}

/// Returns an answer with these items in their order. If there are too many, the last ones
/// are left out.
pub fn in_order<T: Serialize + Send + Sync + 'static>(
    mut items: Vec<Arc<T>>,
    form: Form,
    max_bytes: usize,
) -> Response {
    let left_out = truncate(&mut items, max_bytes);
    answer(items, form, left_out)
}

/// Drops the items beyond the size limit, and those that can't be written. Returns the
/// number of the former.
fn truncate<T: Serialize>(items: &mut Vec<Arc<T>>, max_bytes: usize) -> usize {
    let mut left = max_bytes;
    let mut is_full = false;
    let mut left_out = 0;
    items.retain(|item| {
        is_full = is_full
            || match length(item) {
                Some(bytes) => {
                    let fits = bytes < left;
                    left = left.saturating_sub(bytes + 1);
                    !fits
                }
                None => return false,
            };
        left_out += usize::from(is_full);
        !is_full
    });
    left_out
}

/// Returns the size of an item's text, without keeping the text.
fn length(item: &impl Serialize) -> Option<usize> {
    /// Counts what is written.
    struct Count(usize);

    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, item).ok()?;
    Some(count.0)
}

fn answer<T: Serialize + Send + Sync + 'static>(
    items: Vec<Arc<T>>,
    form: Form,
    left_out: usize,
) -> Response {
    let is_array = form == Form::Array;
    let (begin, end) = if is_array { ("[", "]") } else { ("", "") };
    let items = items.into_iter().enumerate().map(move |(index, item)| {
        let mut text = Vec::new();
        if is_array && index > 0 {
            text.push(b',');
        }
        // It could be written when it was counted.
        let _ = serde_json::to_writer(&mut text, &item);
        if !is_array {
            text.push(b'\n');
        }
        Bytes::from(text)
    });
    let edge = |text: &'static str| std::iter::once(Bytes::from_static(text.as_bytes()));
    let parts = edge(begin).chain(items).chain(edge(end));
    let body = Body::from_stream(stream::iter(parts.map(Ok::<_, Infallible>)));
    let content_type = match form {
        Form::Array => "application/json",
        Form::Lines => "application/x-ndjson",
    };
    let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
    if left_out > 0 {
        response.headers_mut().insert(LEFT_OUT, left_out.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::to_bytes;

    use super::{Form, LEFT_OUT, in_order, latest_last};

    #[tokio::test]
    async fn what_is_too_much_is_left_out_and_counted() -> anyhow::Result<()> {
        let items = |texts: &[&str]| -> Vec<_> {
            let items = texts.iter().map(|text| Arc::new((*text).to_owned()));
            items.collect()
        };
        // Each takes five bytes with its end.
        for (texts, max_bytes, lines, array, left_out) in [
            (
                &["cc", "bb", "aa"][..],
                15,
                "\"aa\"\n\"bb\"\n\"cc\"\n",
                r#"["cc","bb","aa"]"#,
                0,
            ),
            (
                &["cc", "bb", "aa"],
                14,
                "\"bb\"\n\"cc\"\n",
                r#"["cc","bb"]"#,
                1,
            ),
            (&["c", "bbbbbbbbb", "a"], 10, "\"c\"\n", r#"["c"]"#, 2),
            (&["cc"], 3, "", "[]", 1),
            (&[], 3, "", "[]", 0),
        ] {
            let records = latest_last(items(texts), Form::Lines, max_bytes);
            let objects = in_order(items(texts), Form::Array, max_bytes);
            for (answer, text) in [(records, lines), (objects, array)] {
                let named = answer.headers().get(LEFT_OUT);
                let named = named.map_or(Ok("0"), |count| count.to_str())?;
                assert_eq!(named, left_out.to_string(), "{texts:?}");
                let body = to_bytes(answer.into_body(), usize::MAX).await?;
                assert_eq!(body, text, "{texts:?}");
            }
        }
        Ok(())
    }
}
