//! The real SDK against moto's server: discovery, orders and error messages.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use flyball_cloud::aws::{AwsAutoScaling, Connection, instance};
use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{CloudError, CloudProvider as _, InstanceState, NodeGroup};
use flyball_test_support::Aws;

pub const START: Timestamp = Timestamp(1_700_000_000_000);
const MINUTE: i64 = 60_000;

pub async fn provider(
    aws: &Aws,
    named: &[&str],
    discovery: &[&str],
) -> anyhow::Result<AwsAutoScaling> {
    provider_at(aws.endpoint(), named, discovery).await
}

pub async fn provider_at(
    endpoint: &str,
    named: &[&str],
    discovery: &[&str],
) -> anyhow::Result<AwsAutoScaling> {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let connection = Connection {
        region: Some(Aws::REGION.to_owned()),
        endpoint: Some(endpoint.to_owned()),
        credentials: Some(SharedCredentialsProvider::new(credentials)),
    };
    let named = named
        .iter()
        .map(|spec| spec.parse())
        .collect::<Result<_, _>>()?;
    let discovery = discovery.iter().map(|spec| spec.parse());
    let discovery = discovery.collect::<Result<Vec<_>, _>>()?;
    Ok(AwsAutoScaling::connect(&connection, named, &discovery).await?)
}

fn sizes(groups: &[Arc<NodeGroup>]) -> Vec<(&str, u32, u32, u32, usize)> {
    let sizes = groups.iter().map(|group| {
        let (min, max, target) = (group.min_size, group.max_size, group.target_size);
        (&*group.name, min, target, max, group.instances.len())
    });
    sizes.collect()
}

/// Returns the class of an error whose message contains all of these.
pub fn class(result: Result<(), CloudError>, names: &[&str]) -> anyhow::Result<&'static str> {
    let error = result.err().context("no error")?;
    for name in names {
        ensure!(error.message.contains(name), "no {name:?} in {error}");
    }
    Ok(error.class)
}

#[tokio::test]
async fn groups_are_named_or_found_with_their_bounds_and_templates() -> anyhow::Result<()> {
    let aws = Aws::start()?;
    let tag = "k8s.io/cluster-autoscaler/enabled=true";
    let template = "k8s.io/cluster-autoscaler/node-template";
    let (cpu, memory) = (
        format!("{template}/resources/cpu=2"),
        format!("{template}/resources/memory=2Gi"),
    );
    aws.create_group("workers", (1, 2, 4), &[])?;
    aws.create_group("spot", (0, 0, 9), &[tag, "team=a", &cpu, &memory])?;
    aws.create_group("other", (0, 1, 5), &["team=a"])?;

    let named = provider(&aws, &["2:3:workers", "0:1:gone"], &[]).await?;
    let groups = named.node_groups(START).await?;
    assert_eq!(sizes(&groups), [("workers", 2, 2, 3, 2)]);
    let instances = &groups[0].instances;
    let prefix = format!("aws:///{}/i-", Aws::ZONE);
    assert!(
        instances
            .iter()
            .all(|one| one.provider_id.starts_with(&prefix))
    );
    assert!(
        instances
            .iter()
            .all(|one| one.state == InstanceState::Running)
    );
    assert!(groups[0].template.is_none());

    let found = provider(&aws, &[], &["asg:tag=team=a"]).await?;
    let groups = found.node_groups(START).await?;
    assert_eq!(
        sizes(&groups),
        [("other", 0, 1, 5, 1), ("spot", 0, 0, 9, 0)]
    );
    let spot = groups[1].template.as_ref().context("no template")?;
    assert_eq!(spot.allocatable.get("cpu"), Some(&2000));

    let both = [
        "asg:tag=team",
        "asg:tag=k8s.io/cluster-autoscaler/enabled=true",
    ];
    let both = provider(&aws, &["1:2:spot", "0:7:workers"], &both).await?;
    let groups = both.node_groups(START).await?;
    assert_eq!(
        sizes(&groups),
        [("spot", 1, 0, 2, 0), ("workers", 0, 2, 7, 2)]
    );
    Ok(())
}

/// Uses a group of size zero in three zones, with two instance types.
#[tokio::test]
async fn a_group_in_several_zones_has_the_labels_that_all_its_nodes_get() -> anyhow::Result<()> {
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
        "Overrides":[{"InstanceType":"m6g.large"},{"InstanceType":"m7g.large"}]}}"#;
    let tag = |name: &str, value: &str| {
        let key = format!("k8s.io/cluster-autoscaler/node-template/{name}");
        format!(r#"{{"Key":"{key}","Value":"{value}","PropagateAtLaunch":false}}"#)
    };
    let tags = [tag("resources/cpu", "2"), tag("resources/memory", "8Gi")];
    let zones = ["a", "b", "c"].map(|zone| format!("{}{zone}", Aws::REGION));
    let create = [
        "autoscaling",
        "create-auto-scaling-group",
        "--auto-scaling-group-name",
        "workers",
        "--mixed-instances-policy",
        policy,
        "--min-size",
        "0",
        "--max-size",
        "9",
    ];
    let mut args = create.to_vec();
    args.push("--availability-zones");
    args.extend(zones.iter().map(String::as_str));
    args.push("--tags");
    args.extend(tags.iter().map(String::as_str));
    aws.aws(&args)?;

    let provider = provider(&aws, &["0:9:workers"], &[]).await?;
    let groups = provider.node_groups(START).await?;
    let zones = zones.map(Arc::from);
    assert_eq!(groups[0].zones, zones);
    let template = groups[0].template.as_ref().context("no template")?;
    let ebs = "topology.ebs.csi.aws.com/zone".into();
    assert!(template.zone_labels.contains(&ebs));
    let label = |key: &str| template.labels.get(key).map(|value| &**value);
    assert_eq!(label("kubernetes.io/arch"), Some("arm64"));
    assert_eq!(label("kubernetes.io/os"), Some("linux"));
    assert_eq!(label("topology.kubernetes.io/region"), Some(Aws::REGION));
    assert_eq!(label("node.kubernetes.io/instance-type"), None);

    provider.increase_size(START, "workers", 1).await?;
    let groups = provider.node_groups(START).await?;
    let instance = groups[0].instances.first().context("no instance")?;
    let zone = instance.zone.as_ref().context("no zone")?;
    assert!(zones.contains(zone));
    Ok(())
}

#[tokio::test]
async fn more_groups_than_fit_into_a_call_are_all_read() -> anyhow::Result<()> {
    let aws = Aws::start()?;
    aws.create_group("workers-000", (0, 0, 9), &["team=a"])?;
    let script = "for i in $(seq 1 119); do n=$(printf 'workers-%03d' $i); \
        curl -sf -o /dev/null \"$AWS_ENDPOINT_URL\" \
        -H 'Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/autoscaling/aws4_request' \
        -d \"Action=CreateAutoScalingGroup&Version=2011-01-01&AutoScalingGroupName=$n\
        &LaunchConfigurationName=workers-000-launch&MinSize=0&MaxSize=9\
        &AvailabilityZones.member.1=eu-west-1a&Tags.member.1.Key=team&Tags.member.1.Value=a\
        &Tags.member.1.PropagateAtLaunch=false\" || exit 1; done";
    let status = std::process::Command::new("bash")
        .args(["-c", script])
        .envs(aws.environment())
        .status()?;
    ensure!(status.success(), "creating groups: {status}");

    let names: Vec<String> = (0..120).map(|i| format!("0:9:workers-{i:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let named = provider(&aws, &names, &[]).await?;
    assert_eq!(named.node_groups(START).await?.len(), 120);
    let found = provider(&aws, &[], &["asg:tag=team=a"]).await?;
    assert_eq!(found.node_groups(START).await?.len(), 120);
    Ok(())
}

#[tokio::test]
async fn orders_change_the_size_and_are_seen_at_once() -> anyhow::Result<()> {
    let aws = Aws::start()?;
    aws.create_group("workers", (1, 2, 6), &[])?;
    let provider = provider(&aws, &["1:5:workers"], &[]).await?;
    let groups = provider.node_groups(START).await?;
    assert_eq!(sizes(&groups), [("workers", 1, 2, 5, 2)]);

    provider.increase_size(START, "workers", 2).await?;
    let groups = provider.node_groups(START).await?;
    assert_eq!(sizes(&groups), [("workers", 1, 4, 5, 4)]);
    let too_many = provider.increase_size(START, "workers", 2).await;
    assert_eq!(
        class(too_many, &["workers", "SetDesiredCapacity", "5"])?,
        "InvalidSize"
    );

    let leaving = [groups[0].instances[0].provider_id.clone()];
    let outcomes = provider.delete_instances(START, "workers", &leaving).await;
    assert_eq!(outcomes, [Ok(())]);
    let groups = provider.node_groups(START).await?;
    assert_eq!(groups[0].target_size, 3);
    let stays = |id: &Arc<str>| groups[0].instances.iter().any(|one| one.provider_id == *id);
    assert!(!stays(&leaving[0]));
    let all: Vec<_> = groups[0]
        .instances
        .iter()
        .map(|one| one.provider_id.clone())
        .collect();
    let mut below = provider.delete_instances(START, "workers", &all).await;
    let below = below.pop().context("no outcome")?;
    assert_eq!(
        class(below, &["workers", "Terminate", "smallest"])?,
        "MinSize"
    );

    let lower = provider.decrease_target_size(START, "workers", 1).await;
    assert_eq!(class(lower, &["workers", "1 instances"])?, "InvalidSize");
    assert_eq!(aws.group("workers")?["DesiredCapacity"], 1);
    Ok(())
}

#[tokio::test]
async fn what_others_change_is_seen_after_a_minute_and_by_each_order() -> anyhow::Result<()> {
    let aws = Aws::start()?;
    aws.create_group("workers", (0, 1, 5), &[])?;
    let provider = provider(&aws, &["0:5:workers"], &[]).await?;
    provider.node_groups(START).await?;
    let set = |size: &str| {
        let args = [
            "autoscaling",
            "set-desired-capacity",
            "--auto-scaling-group-name",
        ];
        aws.aws(&[&args[..], &["workers", "--desired-capacity", size]].concat())
    };
    set("3")?;
    let cached = provider.node_groups(START.plus(MINUTE - 1)).await?;
    assert_eq!(cached[0].target_size, 1);
    let anew = provider.node_groups(START.plus(MINUTE)).await?;
    assert_eq!(anew[0].target_size, 3);
    set("4")?;
    provider
        .increase_size(START.plus(MINUTE), "workers", 1)
        .await?;
    assert_eq!(aws.group("workers")?["DesiredCapacity"], 5);
    Ok(())
}

#[tokio::test]
async fn an_instance_on_standby_is_none_of_those_that_were_ordered() -> anyhow::Result<()> {
    let aws = Aws::start()?;
    aws.create_group("workers", (0, 3, 5), &[])?;
    let provider = provider(&aws, &["0:5:workers"], &[]).await?;
    let groups = provider.node_groups(START).await?;
    let id = &groups[0].instances[0].provider_id;
    let instance = instance(id).context("no instance")?;
    let args = ["autoscaling", "enter-standby", "--auto-scaling-group-name"];
    let rest = ["workers", "--should-decrement-desired-capacity"];
    let which = ["--instance-ids", instance];
    aws.aws(&[&args[..], &rest, &which].concat())?;
    let groups = provider.node_groups(START.plus(MINUTE)).await?;
    assert_eq!(sizes(&groups), [("workers", 0, 2, 5, 2)]);
    assert!(groups[0].instances.iter().all(|one| one.provider_id != *id));
    Ok(())
}

#[tokio::test]
async fn errors_name_the_group_and_the_call() -> anyhow::Result<()> {
    let aws = Aws::start()?;
    aws.create_group("workers", (0, 1, 5), &[])?;
    let provider = provider(&aws, &["0:5:workers", "0:5:gone"], &[]).await?;
    assert_eq!(provider.node_groups(START).await?.len(), 1);
    let gone = provider.increase_size(START, "gone", 1).await;
    assert_eq!(class(gone, &["gone", "SetDesiredCapacity"])?, "NotFound");
    let foreign = provider.increase_size(START, "foreign", 1).await;
    assert_eq!(
        class(foreign, &["foreign", "not one of our node groups"])?,
        "NotFound"
    );

    drop(aws);
    let silent = provider.node_groups(START.plus(MINUTE)).await.map(drop);
    assert_eq!(
        class(silent, &["DescribeAutoScalingGroups"])?,
        "Unreachable"
    );
    let silent = provider.increase_size(START, "workers", 1).await;
    assert_eq!(
        class(silent, &["workers", "DescribeAutoScalingGroups"])?,
        "Unreachable"
    );
    Ok(())
}

#[tokio::test]
async fn a_provider_without_groups_or_with_contradictions_is_none() -> anyhow::Result<()> {
    let aws = Aws::start()?;
    let problem = provider(&aws, &[], &[]).await.err().context("no error")?;
    assert!(problem.to_string().contains("--nodes"));
    let both = ["asg:tag=team=a", "asg:tag=team=b"];
    let problem = provider(&aws, &[], &both).await.err().context("no error")?;
    assert!(problem.to_string().contains("team"));
    Ok(())
}
