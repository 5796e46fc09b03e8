//! Where the pods of a class are: for a new counter, which has to count those that are
//! placed, without a look at all nodes.

use hashbrown::HashMap;

use super::nodes::{NodeId, Nodes};
use super::{ClassId, Count};

/// Number of pods that may be placed, besides as many as there were, until what is known is
/// dropped.
const MIN_NOTED: usize = 1024;

/// Places of pods, from when they are first asked for until many pods were placed: packing
/// places millions, and asks for none.
#[derive(Default)]
pub(super) struct Places {
    known: Option<Known>,
}

struct Known {
    /// By class, nodes among which are all that have pods of it.
    by_class: HashMap<ClassId, Vec<NodeId>>,
    /// Number of pods that may be placed until this is dropped.
    left: usize,
}

impl Known {
    fn of(nodes: &Nodes) -> Self {
        let mut by_class: HashMap<ClassId, Vec<NodeId>> = HashMap::new();
        let mut left = MIN_NOTED;
        for (node, slot) in nodes.iter() {
            for placed in &slot.pods {
                by_class.entry(placed.class).or_default().push(node);
                left += 1;
            }
        }
        Self { by_class, left }
    }
}

impl Places {
    /// Notes that a pod is placed.
    pub(super) fn note(&mut self, class: ClassId, node: NodeId) {
        let Some(known) = &mut self.known else {
            return;
        };
        if known.left == 0 {
            self.known = None;
            return;
        }
        known.left -= 1;
        known.by_class.entry(class).or_default().push(node);
    }

    /// Returns the pods of a class by node, ordered.
    pub(super) fn of(&mut self, class: ClassId, nodes: &Nodes) -> Vec<(NodeId, Count)> {
        let known = self.known.get_or_insert_with(|| Known::of(nodes));
        let Some(places) = known.by_class.get_mut(&class) else {
            return Vec::new();
        };
        places.sort_unstable();
        places.dedup();
        let count = |node: NodeId| nodes.get(node)?.count(class);
        places.retain(|node| count(*node).is_some());
        let counted = places.iter().map(|node| (*node, count(*node)));
        counted
            .filter_map(|(node, count)| Some((node, count?)))
            .collect()
    }
}
