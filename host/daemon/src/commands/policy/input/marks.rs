//! Labels and annotations of rows, from which wanted inputs are granted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use flyball_decision::context::Context;
use flyball_decision::policy::Description;
use flyball_decision::row_wish::{RowText, RowWish};
use serde::Deserialize;
use serde_json::{Map, Value};

type Texts = BTreeMap<String, Arc<str>>;

/// Labels and annotations of a pod, a node or an option.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Marks {
    labels: Texts,
    annotations: Texts,
    /// Of the pod's namespace.
    namespace_labels: Texts,
}

/// Labels and annotations of the rows of an input whose tables are lists.
#[derive(Debug, Clone, Default)]
pub struct RowMarks {
    pods: Option<Vec<Marks>>,
    /// Of nodes, or of options.
    nodes: Option<Vec<Marks>>,
}

impl RowMarks {
    /// Removes labels and annotations from the rows of an input.
    pub(super) fn take(input: &mut Map<String, Value>) -> anyhow::Result<Self> {
        let mut of = |table: &str| match input.get_mut(table) {
            Some(Value::Array(rows)) => {
                let marks = rows.iter_mut().map(marks_of);
                let marks: anyhow::Result<Vec<Marks>> = marks.collect();
                marks.with_context(|| table.to_owned()).map(Some)
            }
            _ => Ok(None),
        };
        let (pods, nodes, options) = (of("pods")?, of("nodes")?, of("options")?);
        Ok(Self {
            pods,
            nodes: nodes.or(options),
        })
    }

    /// Returns the context with what the policy wants of the rows, unless it has granted
    /// inputs already.
    pub fn granted<'a>(&self, context: &'a Context, description: &Description) -> Cow<'a, Context> {
        let is_granted = !context.inputs.is_empty() || description.wants.is_empty();
        if is_granted || (self.pods.is_none() && self.nodes.is_none()) {
            return Cow::Borrowed(context);
        }
        let wants = description.wants.iter();
        let inputs = wants.map(|wanted| RowWish::grant(wanted, |wish| self.texts(wish)));
        Cow::Owned(Context {
            inputs: inputs.collect(),
            ..context.clone()
        })
    }

    fn texts(&self, wish: &RowWish) -> Option<std::vec::IntoIter<Option<Arc<str>>>> {
        let rows = match wish.of {
            RowText::PodLabel | RowText::PodAnnotation | RowText::NamespaceLabel => &self.pods,
            RowText::NodeLabel | RowText::NodeAnnotation => &self.nodes,
        };
        let text = |marks: &Marks| {
            let texts = match wish.of {
                RowText::PodLabel | RowText::NodeLabel => &marks.labels,
                RowText::PodAnnotation | RowText::NodeAnnotation => &marks.annotations,
                RowText::NamespaceLabel => &marks.namespace_labels,
            };
            texts.get(&*wish.key).cloned()
        };
        let texts: Vec<_> = rows.as_ref()?.iter().map(text).collect();
        Some(texts.into_iter())
    }
}

/// Removes labels and annotations from a row.
fn marks_of(row: &mut Value) -> anyhow::Result<Marks> {
    let Value::Object(row) = row else {
        // What reads the table says so.
        return Ok(Marks::default());
    };
    let fields = ["labels", "annotations", "namespaceLabels"];
    let marks = fields.iter().filter_map(|field| row.remove_entry(*field));
    Ok(serde_json::from_value(Value::Object(marks.collect()))?)
}
