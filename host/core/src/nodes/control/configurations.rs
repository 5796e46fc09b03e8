//! Configurations of expanders that the cluster has: taken anew before each pass,
//! and what is wrong with them told once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::nodes::options::ExpanderChoice;
use crate::nodes::ports::{ExpanderConfiguration, NodeEvent, NodesReader};
use crate::nodes::priorities;
use crate::nodes::record::{Incident, NodeDecisionRecord, Round};
use crate::question::{ExpanderRecord, selected};
use crate::status::Event;

/// What is known of the configurations, by expander.
#[derive(Clone, Debug, Default)]
pub(super) struct Configurations(BTreeMap<Arc<str>, Known>);

#[derive(Clone, Debug)]
struct Known {
    configuration: ExpanderConfiguration,
    /// Messages told of it, with what is in it now.
    told: BTreeSet<String>,
}

impl Configurations {
    /// Puts what the cluster has now into the chain. True: something has changed.
    pub(super) fn take(&mut self, reader: &impl NodesReader, chain: &mut [ExpanderChoice]) -> bool {
        let mut changed = false;
        for expander in chain {
            let Some(configuration) = reader.configure(expander) else {
                continue;
            };
            let known = self.0.get(&expander.name);
            if known.is_some_and(|known| known.configuration == configuration) {
                continue;
            }
            changed = true;
            let told = BTreeSet::new();
            let known = Known {
                configuration,
                told,
            };
            self.0.insert(Arc::clone(&expander.name), known);
        }
        changed
    }

    /// Brings into the record, as events and incidents, what expanders found wrong
    /// with their configurations and nobody was told yet.
    pub(super) fn warn(&mut self, record: &mut NodeDecisionRecord) {
        for round in &record.rounds {
            for expander in &round.expanders {
                let Some(known) = self.0.get_mut(&expander.name) else {
                    continue;
                };
                let source = &known.configuration.source;
                for event in warnings(round, expander) {
                    let message = format!("{source}: {}", event.message);
                    if !known.told.insert(message.clone()) {
                        continue;
                    }
                    record.incidents.push(Incident {
                        code: event.reason.as_str().into(),
                        group: None,
                        message,
                    });
                    let about = source.clone();
                    record.events.push(NodeEvent { about, event });
                }
            }
        }
    }
}

fn warnings(round: &Round, expander: &ExpanderRecord) -> Vec<Event> {
    match &expander.answer {
        Ok(ranking) => {
            let options = selected(&round.input.options, &expander.own);
            priorities::warnings(&options, ranking)
        }
        Err(_) => Vec::new(),
    }
}
