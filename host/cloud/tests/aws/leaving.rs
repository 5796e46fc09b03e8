//! Instances that leave: each has an outcome, and what the group says about the removal.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use flyball_cloud::NodePrices;
use flyball_cloud::aws::instance;
use flyball_nodes::cloud::{CloudError, CloudProvider as _, GroupScaleDown, NodeGroup};
use flyball_test_support::{Aws, Fate, Faults};

use crate::moto::{START, class, provider, provider_at};

/// Code and message of the error for each of some instances.
type Answers = Mutex<Vec<(String, (&'static str, &'static str))>>;

/// Returns the ids of a group's instances.
fn ids(group: &NodeGroup) -> Vec<Arc<str>> {
    let instances = group.instances.iter();
    instances.map(|one| one.provider_id.clone()).collect()
}

/// Returns `ok`, or the class of the error, of each outcome.
fn classes(outcomes: &[Result<(), CloudError>]) -> Vec<&'static str> {
    let class = |outcome: &Result<(), CloudError>| outcome.as_ref().err().map_or("ok", |e| e.class);
    outcomes.iter().map(class).collect()
}

fn named(id: &str) -> &str {
    instance(id).unwrap_or_default()
}

#[tokio::test]
async fn instances_that_are_gone_or_anothers_do_not_keep_the_rest_from_leaving()
-> anyhow::Result<()> {
    let aws = Aws::start()?;
    aws.create_group("workers", (1, 5, 6), &[])?;
    aws.create_group("others", (0, 1, 6), &[])?;
    let provider = provider(&aws, &["1:6:workers"], &[]).await?;
    let workers = ids(&provider.node_groups(START).await?[0]);
    let others = aws.group("others")?["Instances"][0]["InstanceId"].clone();
    let other = others.as_str().context("no instance")?;

    // One is gone, one on standby.
    let outcomes = provider
        .delete_instances(START, "workers", &workers[..1])
        .await;
    assert_eq!(outcomes, [Ok(())]);
    let standby = ["autoscaling", "enter-standby", "--auto-scaling-group-name"];
    let which = [
        "workers",
        "--should-decrement-desired-capacity",
        "--instance-ids",
    ];
    aws.aws(&[&standby[..], &which, &[named(&workers[1])]].concat())?;
    assert_eq!(aws.group("workers")?["DesiredCapacity"], 3);

    let asked = [
        workers[0].clone(),
        format!("aws:///{}/{other}", Aws::ZONE).into(),
        workers[1].clone(),
        workers[2].clone(),
        "kind://docker/kind/node".into(),
        workers[2].clone(),
        workers[3].clone(),
        workers[4].clone(),
    ];
    let outcomes = provider.delete_instances(START, "workers", &asked).await;
    assert_eq!(
        classes(&outcomes),
        [
            "ok", "NotFound", "Other", "ok", "NotFound", "Other", "ok", "MinSize"
        ]
    );
    for (at, words) in [
        (1, [other, "node group others"]),
        (2, [named(&workers[1]), "Standby"]),
        (4, ["kind://docker/kind/node", "no instance of AWS"]),
        (5, [named(&workers[2]), "twice"]),
        (7, [named(&workers[4]), "smallest size, 1"]),
    ] {
        class(
            outcomes[at].clone(),
            &[&words[..], &["workers", "Terminate"]].concat(),
        )?;
    }
    let group = &provider.node_groups(START).await?[0];
    assert_eq!(
        (group.target_size, ids(group)),
        (1, vec![workers[4].clone()])
    );
    assert_eq!(aws.group("others")?["DesiredCapacity"], 1);
    Ok(())
}

#[tokio::test]
async fn several_instances_leave_at_once_until_aws_throttles_the_calls() -> anyhow::Result<()> {
    const ALLOWED: usize = 9;
    let aws = Aws::start()?;
    aws.create_group("workers", (0, 30, 30), &[])?;
    let calls = AtomicUsize::new(0);
    let faults = Faults::start(&aws, move |call| {
        if call.terminated().is_none() {
            return Fate::Answered;
        }
        let throttled = calls.fetch_add(1, Ordering::SeqCst) >= ALLOWED;
        match throttled {
            true => Fate::Refused("Throttling", "Rate exceeded"),
            false => Fate::Answered,
        }
    })?;
    let provider = provider_at(&faults.endpoint, &["0:30:workers"], &[]).await?;
    let workers = ids(&provider.node_groups(START).await?[0]);
    let outcomes = provider.delete_instances(START, "workers", &workers).await;
    let group = &provider.node_groups(START).await?[0];
    let left = ids(group);
    for (id, outcome) in workers.iter().zip(&outcomes) {
        assert_eq!(outcome.is_err(), left.contains(id), "{id}: {outcome:?}");
    }
    let failed: Vec<_> = outcomes
        .iter()
        .filter_map(|one| one.as_ref().err())
        .collect();
    assert_eq!(failed.len(), 30 - ALLOWED);
    assert_eq!(group.target_size, 30 - 9);
    assert!(failed.iter().all(|error| error.class == "Throttled"));
    let left_out = failed
        .iter()
        .filter(|error| error.message.contains("left out"));
    let left_out = left_out.count();
    assert!(left_out >= 30 - ALLOWED - 8, "{failed:?}");
    let mut asked = faults.asked();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 30 - left_out, "the others were not asked for");
    let most = faults.most_in_flight();
    assert!((2..=8).contains(&most), "{most} calls at once");
    Ok(())
}

#[tokio::test]
async fn an_instance_that_goes_after_the_look_at_its_group_is_no_failure() -> anyhow::Result<()> {
    let aws = Aws::start()?;
    aws.create_group("workers", (0, 4, 6), &[])?;
    let answers = Arc::<Answers>::default();
    let known = Arc::clone(&answers);
    let faults = Faults::start(&aws, move |call| {
        let known = known.lock().unwrap();
        let found = known
            .iter()
            .find(|(id, _)| Some(&**id) == call.terminated());
        found.map_or(Fate::Answered, |(_, (code, message))| {
            Fate::Refused(code, message)
        })
    })?;
    let provider = provider_at(&faults.endpoint, &["0:6:workers"], &[]).await?;
    let workers = ids(&provider.node_groups(START).await?[0]);
    let faults = [
        (
            "ValidationError",
            "Instance Id not found - No managed instance found for instance ID i-0",
        ),
        (
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-0' does not exist",
        ),
        (
            "ValidationError",
            "Currently, desiredSize equals minSize (1). Terminating instance without replacement \
             will violate group's min size constraint.",
        ),
    ];
    let named = workers.iter().map(|id| named(id).to_owned());
    answers.lock().unwrap().extend(named.zip(faults));
    let outcomes = provider.delete_instances(START, "workers", &workers).await;
    assert_eq!(classes(&outcomes), ["ok", "ok", "MinSize", "ok"]);
    class(
        outcomes[2].clone(),
        &[instance(&workers[2]).unwrap_or_default(), "workers"],
    )?;
    assert_eq!(aws.group("workers")?["DesiredCapacity"], 3);
    Ok(())
}

#[tokio::test]
async fn a_group_says_how_its_nodes_are_bought_and_removed() -> anyhow::Result<()> {
    let aws = Aws::start()?;
    let launch = ["ec2", "create-launch-template", "--launch-template-name"];
    let data = [
        "workers",
        "--launch-template-data",
        r#"{"ImageId":"ami-12c6146b","InstanceType":"m6g.large"}"#,
    ];
    aws.aws(&[&launch[..], &data].concat())?;
    let policy = r#"{"LaunchTemplate":{
        "LaunchTemplateSpecification":{"LaunchTemplateName":"workers","Version":"1"},
        "Overrides":[{"InstanceType":"m6g.large"}]},
        "InstancesDistribution":{"OnDemandPercentageAboveBaseCapacity":0}}"#;
    let zone = format!("{}a", Aws::REGION);
    aws.aws(&[
        "autoscaling",
        "create-auto-scaling-group",
        "--auto-scaling-group-name",
        "spot",
        "--mixed-instances-policy",
        policy,
        "--min-size",
        "0",
        "--max-size",
        "9",
        "--availability-zones",
        &zone,
    ])?;
    let option = "k8s.io/cluster-autoscaler/node-template/autoscaling-options";
    let tags = [
        format!("{option}/scaledownutilizationthreshold=0.65"),
        format!("{option}/scaledownunneededtime=20m0s"),
        format!("{option}/ignoredaemonsetsutilization=true"),
        format!("{option}/scaledownunreadytime=soon"),
    ];
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    aws.create_group("workers", (0, 1, 9), &tags)?;
    let suspend = [
        "autoscaling",
        "suspend-processes",
        "--auto-scaling-group-name",
    ];
    let processes = ["workers", "--scaling-processes", "Terminate", "AZRebalance"];
    aws.aws(&[&suspend[..], &processes].concat())?;

    let prices = "
- {instanceType: m6g.large, price: 0.08}
- {instanceType: m6g.large, purchase: spot, price: 0.03}
- {instanceType: t3.small, zone: eu-west-1a, price: 0.02}
- {instanceType: t3.small, price: 0.05}
";
    let provider = provider(&aws, &["0:9:spot", "0:9:workers"], &[]).await?;
    let provider = provider.with_prices(NodePrices::parse(prices)?);
    let groups = provider.node_groups(START).await?;
    let [spot, workers] = &groups[..] else {
        anyhow::bail!("{groups:?}");
    };
    assert_eq!(spot.instance_type.as_deref(), Some("m6g.large"));
    assert_eq!((spot.spot, spot.price), (Some(true), Some(0.03)));
    assert_eq!(spot.scale_down, GroupScaleDown::default());
    assert_eq!(spot.suspended, []);

    assert_eq!(workers.instance_type.as_deref(), Some("t3.small"));
    assert_eq!((workers.spot, workers.price), (None, Some(0.02)));
    let own = workers.instances[0].instance_type.as_deref();
    assert_eq!(own, Some("t3.small"));
    let options = GroupScaleDown {
        utilization_threshold: Some(0.65),
        unneeded_time_ms: Some(20 * 60_000),
        ignore_daemonsets_utilization: Some(true),
        ..GroupScaleDown::default()
    };
    assert_eq!(workers.scale_down, options);
    assert_eq!(
        workers.suspended,
        ["AZRebalance".into(), "Terminate".into()]
    );
    Ok(())
}
