//! Built for `wit/draft`: a policy of both kinds that run.

use exports::flyball::policy::description::{Description, Guest as Describe};
use exports::flyball::policy::expander::{Guest as Rank, Input as Options, Ranking};
use exports::flyball::policy::replica::{Decision, Guest as Decide, Input};
use flyball::policy::log::log;
use flyball::policy::types::{Argument, Context, Error, Reason};

wit_bindgen::generate!({
    path: "../../../wit/draft",
    inline: "
        package flyball:guest;

        world both {
            include flyball:policy/replica-policy@0.1.0-draft;
            include flyball:policy/expander-policy@0.1.0-draft;
        }
    ",
    world: "flyball:guest/both",
    generate_all,
});

struct OneMore;

impl Describe for OneMore {
    fn describe() -> Description {
        Description {
            name: "one-more".into(),
            version: "1.0.0".into(),
            summary: "asks for one replica more than there are ready pods, and for the group \
                      that comes last"
                .into(),
            kinds: vec!["replica".into(), "expander".into()],
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

export!(OneMore);
