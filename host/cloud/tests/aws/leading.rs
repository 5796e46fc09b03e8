//! What is sent to AWS around the loss of the lease.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use flyball_cloud::aws::AwsAutoScaling;
use flyball_nodes::cloud::{CloudProvider as _, NOT_LEADER};
use flyball_test_support::{Aws, Fate, Faults};

use crate::moto::{START, class, provider_at};

const DESCRIBE: &str = "DescribeAutoScalingGroups";
const SET: &str = "SetDesiredCapacity";
const TERMINATE: &str = "TerminateInstanceInAutoScalingGroup";
const OTHER_LEADER: &str = "another instance leads by now";

/// A provider that leads until a call reaches AWS.
struct Stage {
    provider: AwsAutoScaling,
    leads: Arc<AtomicBool>,
    /// The action of the call with which the lease is lost.
    lost_at: Arc<Mutex<&'static str>>,
    /// Actions of the calls since the lease was held.
    sent: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    /// Connects through a server that answers each order of a size with an error, so that the
    /// SDK repeats it.
    async fn new(aws: &Aws) -> anyhow::Result<Self> {
        let leads = Arc::new(AtomicBool::new(true));
        let lost_at = Arc::<Mutex<&str>>::default();
        let sent = Arc::<Mutex<Vec<String>>>::default();
        let (held, last) = (Arc::clone(&leads), Arc::clone(&lost_at));
        let log = Arc::clone(&sent);
        let faults = Faults::start(aws, move |call| {
            let action = call.field("Action").unwrap_or_default();
            log.lock().unwrap().push(action.to_owned());
            if action == *last.lock().unwrap() {
                held.store(false, Ordering::SeqCst);
            }
            match action {
                SET => Fate::Refused("ServiceUnavailable", "try again later"),
                _ => Fate::Answered,
            }
        })?;
        let provider = provider_at(&faults.endpoint, &["0:30:workers"], &[]).await?;
        let asked = Arc::clone(&leads);
        Ok(Self {
            provider: provider.while_leading(move || asked.load(Ordering::SeqCst)),
            leads,
            lost_at,
            sent,
        })
    }

    /// Holds the lease until a call of this action.
    fn lead_until(&self, action: &'static str) {
        *self.lost_at.lock().unwrap() = action;
        self.sent.lock().unwrap().clear();
        self.leads.store(true, Ordering::SeqCst);
    }

    fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn no_call_and_no_retry_is_sent_once_another_process_leads() -> anyhow::Result<()> {
    let aws = Aws::start()?;
    aws.create_group("workers", (0, 20, 30), &[])?;
    let stage = Stage::new(&aws).await?;
    let provider = &stage.provider;
    let groups = provider.node_groups(START).await?;
    let workers = groups[0].instances.iter();
    let workers: Vec<Arc<str>> = workers.map(|one| one.provider_id.clone()).collect();

    // Between the look at a group and the order.
    stage.lead_until(DESCRIBE);
    let order = provider.increase_size(START, "workers", 1).await;
    assert_eq!(class(order, &[SET, "workers", OTHER_LEADER])?, NOT_LEADER);
    assert_eq!(stage.sent(), [DESCRIBE]);
    stage.lead_until(DESCRIBE);
    for outcome in provider.delete_instances(START, "workers", &workers).await {
        assert_eq!(class(outcome, &[TERMINATE, OTHER_LEADER])?, NOT_LEADER);
    }
    assert_eq!(stage.sent(), [DESCRIBE]);

    // Between an attempt, of which nobody knows what came of it, and the next.
    stage.lead_until(SET);
    let order = provider.increase_size(START, "workers", 1).await;
    let words = [SET, "was not sent again", OTHER_LEADER];
    assert_eq!(class(order, &words)?, "Unreachable");
    assert_eq!(stage.sent(), [DESCRIBE, SET]);

    // During several calls: those that were sent have their outcome.
    stage.lead_until(TERMINATE);
    let outcomes = provider.delete_instances(START, "workers", &workers).await;
    let sent = stage.sent().iter().filter(|one| *one == TERMINATE).count();
    assert!((1..=8).contains(&sent), "{sent} calls");
    let (done, left): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), left.len()), (sent, 20 - sent));
    for outcome in left {
        assert_eq!(class(outcome, &[TERMINATE, OTHER_LEADER])?, NOT_LEADER);
    }
    let group = aws.group("workers")?;
    assert_eq!(group["DesiredCapacity"], 20 - sent);

    // Nor is anything read.
    let calls = stage.sent().len();
    let order = provider.increase_size(START, "workers", 1).await;
    assert_eq!(class(order, &[DESCRIBE, OTHER_LEADER])?, NOT_LEADER);
    assert_eq!(stage.sent().len(), calls);
    Ok(())
}
