//! Built for `wit/draft`.

use exports::flyball::policy::description::{Description, Guest as Describe};
use exports::flyball::policy::replica::{Context, Decision, Error, Guest as Decide, Input};
use flyball::policy::log::log;
use flyball::policy::types::{Argument, Reason};

wit_bindgen::generate!({ path: "../../../wit/draft", world: "replica-policy" });

struct OneMore;

impl Describe for OneMore {
    fn describe() -> Description {
        Description {
            name: "one-more".into(),
            version: "1.0.0".into(),
            summary: "asks for one replica more than there are ready pods".into(),
            kinds: vec!["replica".into()],
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

export!(OneMore);
