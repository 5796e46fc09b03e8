//! Expander configurations that come from the cluster. They are read before each pass, and
//! each error in them is reported once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cluster_configuration;
use crate::findings::Findings;
use crate::options::ExpanderChoice;
use crate::ports::{ExpanderConfiguration, NodeEvent, NodesReader};
use crate::record::{Incident, Round};
use flyball_decision::event::Event;
use flyball_decision::part::ExpanderRecord;
use flyball_decision::question::selected;
use flyball_decision::text;

/// The configurations read last, by expander.
#[derive(Clone, Debug, Default)]
pub(super) struct Configurations(BTreeMap<Arc<str>, KnownConfiguration>);

#[derive(Clone, Debug)]
struct KnownConfiguration {
    configuration: ExpanderConfiguration,
    /// Messages of the warnings reported about it since it changed.
    reported: BTreeSet<String>,
}

impl Configurations {
    /// Puts the current configurations into the chain. Returns whether one has changed.
    pub(super) fn refresh(
        &mut self,
        reader: &impl NodesReader,
        chain: &mut [ExpanderChoice],
    ) -> bool {
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
            let reported = BTreeSet::new();
            let known = KnownConfiguration {
                configuration,
                reported,
            };
            self.0.insert(Arc::clone(&expander.name), known);
        }
        changed
    }

    /// Returns the warnings that expanders gave about their configurations and that were not
    /// reported yet, as events and incidents.
    pub(super) fn new_warnings(&mut self, rounds: &[Round]) -> Findings {
        let mut findings = Findings::default();
        for round in rounds {
            for expander in &round.expanders {
                let Some(known) = self.0.get_mut(&expander.name) else {
                    continue;
                };
                let source = &known.configuration.source;
                for event in warnings(round, expander) {
                    let message = text::message(format!("{source}: {}", event.message));
                    if !known.reported.insert(message.clone()) {
                        continue;
                    }
                    findings.incidents.push(Incident {
                        code: event.reason.as_str().into(),
                        group: None,
                        message,
                    });
                    findings
                        .events
                        .push(NodeEvent::about(source.clone(), event));
                }
            }
        }
        findings
    }
}

fn warnings(round: &Round, expander: &ExpanderRecord) -> Vec<Event> {
    match &expander.answer {
        Ok(ranking) => {
            let options = selected(&round.input.options, &expander.own);
            cluster_configuration::warnings(&expander.name, &options, ranking)
        }
        Err(_) => Vec::new(),
    }
}
