//! Built for `wit/draft`: a policy of every kind, through every interface.

use exports::flyball::policy::description::{Description, Guest as Describe};
use exports::flyball::policy::expander::{Guest as Rank, Input as Options, Ranking};
use exports::flyball::policy::replica::{Decision, Guest as Decide, Input};
use exports::flyball::policy::{scale_down_moves, scale_down_nodes, scale_down_pods};
use flyball::policy::log::log;
use flyball::policy::types::{Argument, Context, Error, Reason};

wit_bindgen::generate!({
    path: "../../../wit/draft",
    inline: "
        package flyball:guest;

        world all {
            include flyball:policy/replica-policy@0.1.0-draft;
            include flyball:policy/expander-policy@0.1.0-draft;
            include flyball:policy/scale-down-policy@0.1.0-draft;
        }
    ",
    world: "flyball:guest/all",
    generate_all,
});

struct OneMore;

impl Describe for OneMore {
    fn describe() -> Description {
        Description {
            name: "one-more".into(),
            version: "1.0.0".into(),
            summary: "asks for one replica more than there are ready pods, for the group that \
                      comes last, and lets go of what costs something"
                .into(),
            kinds: vec!["replica".into(), "expander".into(), "scale-down".into()],
            configuration_schema: String::new(),
            state_version: 1,
            wants: Vec::new(),
        }
    }
}

impl Decide for OneMore {
    fn decide(context: Context, input: Input) -> Result<Decision, Error> {
        let ready = i64::from(input.ready_replicas);
        log(3, &format!("state was {:?}", context.state));
        Ok(Decision {
            replicas: Some(ready + 1),
            reason: Reason {
                code: "OneMore".into(),
                arguments: vec![Argument {
                    name: "ready".into(),
                    value: ready.to_string(),
                }],
                sentence: format!("{ready} pods are ready, one more is asked for"),
            },
            proposals: Vec::new(),
            leading: None,
            state: Some(ready.to_string()),
            again_after_ms: None,
        })
    }
}

impl Rank for OneMore {
    fn rank(_: Context, input: Options) -> Result<Ranking, Error> {
        let Some(name) = input.options.node_group.last() else {
            return Err(Error {
                code: "MissingInput".into(),
                message: "there is no option".into(),
            });
        };
        let count = input.options.node_group.len();
        Ok(Ranking {
            best: vec![count as u32 - 1],
            scores: (0..count).map(|row| row as f64).collect(),
            reason: Reason {
                code: "LastOne".into(),
                arguments: Vec::new(),
                sentence: format!("{name} comes last"),
            },
            state: None,
        })
    }
}

fn one_reason(code: &str, sentence: &str) -> Vec<Reason> {
    vec![Reason {
        code: code.into(),
        arguments: Vec::new(),
        sentence: sentence.into(),
    }]
}

impl scale_down_pods::Guest for OneMore {
    /// Evicts pods of nodes with a price, at that cost, and has no opinion of others.
    fn judge(
        context: Context,
        input: scale_down_pods::Input,
    ) -> Result<scale_down_pods::Verdicts, Error> {
        let prices = &input.nodes.price;
        let price = |node: &u32| prices.get(*node as usize).copied().unwrap_or(f64::NAN);
        let prices: Vec<f64> = input.pods.node.iter().map(price).collect();
        let known = |price: &f64| !price.is_nan();
        Ok(scale_down_pods::Verdicts {
            verdict: prices.iter().map(|price| u32::from(known(price))).collect(),
            reason: prices
                .iter()
                .map(|price| i32::from(known(price)) - 1)
                .collect(),
            cost: prices.iter().map(|price| price.max(0.0)).collect(),
            until_ms: vec![context.now_ms + 1_000; prices.len()],
            reasons: one_reason("Priced", "pod {pod:0} on {node:0} has a price"),
        })
    }
}

impl scale_down_nodes::Guest for OneMore {
    /// Lets nodes go whose group is named `spot`, the youngest first.
    fn judge(
        _: Context,
        input: scale_down_nodes::Input,
    ) -> Result<scale_down_nodes::Verdicts, Error> {
        let names = &input.groups.name;
        let goes = |group: &i32| {
            let group = usize::try_from(*group).ok();
            group
                .and_then(|group| names.get(group))
                .is_some_and(|name| name == "spot")
        };
        let nodes = &input.nodes;
        Ok(scale_down_nodes::Verdicts {
            verdict: nodes
                .group
                .iter()
                .map(|group| 2 - u32::from(goes(group)))
                .collect(),
            reason: vec![0; nodes.group.len()],
            score: nodes.created_ms.iter().map(|ms| -(*ms as f64)).collect(),
            unneeded_ms: vec![60_000; nodes.group.len()],
            until_ms: Vec::new(),
            reasons: one_reason("ByGroup", "group {group:0}"),
        })
    }
}

impl scale_down_moves::Guest for OneMore {
    /// Takes moves that save something, and counts them.
    fn judge(
        context: Context,
        input: scale_down_moves::Input,
    ) -> Result<scale_down_moves::Verdicts, Error> {
        let moves = &input.moves;
        let prices = moves.price_before.iter().zip(&moves.price_after);
        let verdict: Vec<u32> = prices
            .map(|(before, after)| 2 - u32::from(before > after))
            .collect();
        let taken = verdict.iter().filter(|verdict| **verdict == 1).count();
        Ok(scale_down_moves::Verdicts {
            verdict,
            reason: Vec::new(),
            score: moves.cost.clone(),
            reasons: Vec::new(),
            state: Some(format!("{}{taken}", context.state)),
            again_after_ms: Some(30_000),
        })
    }
}

export!(OneMore);
