//! Budgets that select the same pods: what is kept of them for each pod, however many there
//! are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_nodes::state::{
    BudgetFacts, ClusterState, MAX_NAMED_BUDGETS, NodeFacts, PodBudgets, PodFacts, PodPhase,
};
use flyball_placement::{LabelSelector, Node, Operator, Pod, Requirement};
use proptest::prelude::*;

fn key(name: &str) -> ObjectKey {
    ObjectKey {
        namespace: "shop".into(),
        name: name.into(),
    }
}

/// Adds a pod with a label `app`, on a node of its own.
fn add_pod(state: &mut ClusterState, app: &str) {
    let node: Arc<str> = format!("node-{app}").into();
    state.apply_node(NodeFacts {
        node: Arc::new(Node {
            name: node.clone(),
            ..Node::default()
        }),
        ..NodeFacts::default()
    });
    let facts = PodFacts {
        uid: app.into(),
        key: key(app),
        node: Some(node),
        phase: PodPhase::Running,
        ..PodFacts::default()
    };
    let pod = Pod {
        namespace: "shop".into(),
        labels: [("app", app)].into_iter().collect(),
        ..Pod::default()
    };
    state.apply_pod(facts, &pod);
}

fn budget(name: &str, selector: Option<LabelSelector>) -> BudgetFacts {
    BudgetFacts {
        uid: name.into(),
        key: key(name),
        selector,
        disruptions_allowed: 1,
        is_current: true,
        always_evict_unhealthy: false,
        min_healthy: 1,
        current_healthy: 2,
    }
}

fn app(operator: Operator, app: &str) -> Option<LabelSelector> {
    Some(LabelSelector(vec![Requirement {
        key: "app".into(),
        operator,
        values: vec![app.into()],
    }]))
}

fn all() -> Option<LabelSelector> {
    Some(LabelSelector::default())
}

fn budgets_of<'a>(state: &'a ClusterState, app: &str) -> PodBudgets<'a> {
    state.budgets_of(&state.pod(app).unwrap())
}

fn names(state: &ClusterState, budgets: PodBudgets<'_>) -> Vec<String> {
    let named = budgets.named.iter();
    let named = named.map(|id| state.budget(*id).unwrap().key.name.to_string());
    named.collect()
}

/// A change of the budget with this number: it goes, or has another selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Delete,
    SelectAll,
    SelectOne,
    SelectNone,
}

fn sequence() -> impl Strategy<Value = Vec<(u8, Change)>> {
    let change = prop_oneof![
        2 => Just(Change::Delete),
        5 => Just(Change::SelectAll),
        2 => Just(Change::SelectOne),
        1 => Just(Change::SelectNone),
    ];
    let changes = prop::collection::vec((0..20u8, change), 1..80);
    let order = Just((0..20u8).collect::<Vec<u8>>()).prop_shuffle();
    (changes, order).prop_map(|(mut changes, order)| {
        changes.extend(order.iter().map(|number| (*number, Change::SelectAll)));
        changes.extend(order.iter().rev().map(|number| (*number, Change::Delete)));
        changes
    })
}

/// The budgets that select a pod, by name, with what each selects.
fn selecting(budgets: &BTreeMap<String, Change>, app: &str) -> Vec<(String, Change)> {
    let budgets = budgets.iter().filter(|(_, selected)| match selected {
        Change::SelectAll => true,
        Change::SelectOne => app == "one",
        Change::SelectNone | Change::Delete => false,
    });
    let budgets = budgets.map(|(name, selected)| (name.clone(), *selected));
    budgets.collect()
}

proptest! {
    #[test]
    fn the_first_budgets_of_a_pod_are_named_and_all_are_counted(changes in sequence()) {
        let mut state = ClusterState::new();
        let apps = ["one", "other"];
        apps.iter().for_each(|app| add_pod(&mut state, app));
        let mut budgets: BTreeMap<String, Change> = BTreeMap::new();
        for (number, change) in changes {
            let name = format!("budget-{number:02}");
            let revision = state.drain_revision();
            let before = apps.map(|app| selecting(&budgets, app));
            match change {
                Change::Delete => {
                    state.delete_budget(&name);
                    budgets.remove(&name);
                }
                _ => {
                    let selector = match change {
                        Change::SelectAll => all(),
                        Change::SelectOne => app(Operator::In, "one"),
                        _ => None,
                    };
                    state.apply_budget(budget(&name, selector));
                    budgets.insert(name, change);
                }
            }
            let nodes = state.changed_since(revision);
            let changed: BTreeSet<String> =
                nodes.map(|node| node.facts.node.name.to_string()).collect();
            for (app, before) in apps.iter().zip(before) {
                let now = selecting(&budgets, app);
                let found = budgets_of(&state, app);
                assert_eq!(found.count as usize, now.len());
                let first = now.iter().take(MAX_NAMED_BUDGETS);
                let first: Vec<String> = first.map(|(name, _)| name.clone()).collect();
                assert_eq!(names(&state, found), first);
                let only = found.named.first().copied().filter(|_| now.len() == 1);
                assert_eq!(found.only(), only);
                let known = |all: &[(String, Change)]| {
                    let named = all.iter().take(MAX_NAMED_BUDGETS);
                    (all.len(), named.cloned().collect::<Vec<_>>())
                };
                let is_changed = known(&before) != known(&now);
                assert_eq!(changed.contains(&format!("node-{app}")), is_changed);
            }
        }
        assert_eq!(state.budgets().count(), 0);
    }
}

#[test]
fn pods_that_many_budgets_select_each_know_a_few_of_them() {
    let mut state = ClusterState::new();
    let apps: Vec<String> = (0..300).map(|number| format!("app-{number:03}")).collect();
    apps.iter().for_each(|app| add_pod(&mut state, app));
    for name in &apps {
        state.apply_budget(budget(name, app(Operator::NotIn, name)));
    }
    add_pod(&mut state, "late");
    for app in &apps {
        let found = budgets_of(&state, app);
        assert_eq!((found.count, found.named.len()), (299, MAX_NAMED_BUDGETS));
        assert_eq!(found.only(), None);
    }
    let late = budgets_of(&state, "late");
    assert_eq!((late.count, late.named.len()), (300, MAX_NAMED_BUDGETS));

    // All but one go, those that are named first.
    for name in &apps[..299] {
        state.delete_budget(name);
    }
    let left = budgets_of(&state, "app-000");
    assert_eq!(names(&state, left), ["app-299"]);
    assert!(left.only().is_some());
    assert_eq!(budgets_of(&state, "app-299").count, 0);
    assert_eq!(budgets_of(&state, "late").only(), left.only());
}

#[test]
fn a_budget_that_goes_is_not_matched_against_all_classes_and_budgets() {
    let mut state = ClusterState::new();
    let apps: Vec<String> = (0..200).map(|number| format!("app-{number:03}")).collect();
    apps.iter().for_each(|app| add_pod(&mut state, app));
    // Ten that select all pods, and a thousand by name in between that select none.
    let first: Vec<String> = (0..8).map(|number| format!("a-{number}")).collect();
    let last = ["z-0".to_owned(), "z-1".to_owned()];
    for name in first.iter().chain(&last) {
        state.apply_budget(budget(name, all()));
    }
    for number in 0..1000 {
        let name = format!("b-{number:03}");
        state.apply_budget(budget(&name, app(Operator::In, "none")));
    }
    state.delete_budget(&first[0]);
    let mut short = 0;
    for app in &apps {
        let found = budgets_of(&state, app);
        assert_eq!(found.count, 9);
        assert!(found.named.len() >= MAX_NAMED_BUDGETS - 1);
        short += usize::from(found.named.len() < MAX_NAMED_BUDGETS);
    }
    assert!(0 < short && short < apps.len(), "{short} lists are short");

    // The number is right all the same, and so is the only one in the end.
    for (gone, name) in first[1..].iter().chain(&last[..1]).enumerate() {
        state.delete_budget(name);
        for app in &apps {
            let found = budgets_of(&state, app);
            assert_eq!(found.count as usize, 8 - gone);
            assert_eq!(found.only().is_some(), gone == 7);
        }
    }
    for app in &apps {
        assert_eq!(names(&state, budgets_of(&state, app)), ["z-1"]);
    }
}
