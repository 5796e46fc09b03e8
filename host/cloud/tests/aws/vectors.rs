//! Flags and provider IDs are parsed like in Cluster Autoscaler:
//! `tests/vectors/nodes/aws.jsonl.gz`.

use std::collections::BTreeMap;

use anyhow::ensure;
use flyball_cloud::NodeGroupSpec;
use flyball_cloud::aws::{AutoDiscovery, all_tags, filter, instance};
use flyball_test_support::vectors;
use serde::Deserialize;
use serde_json::Value;

/// Start of IDs for which Cluster Autoscaler's result is a bug: it accepts an ID with a
/// prefix before `aws:`, and returns an empty name.
const IDS_WITH_A_PREFIX: &str = "prefix-aws:";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    #[serde(default)]
    specs: Vec<String>,
    #[serde(default)]
    spec: String,
    #[serde(default, rename = "providerID")]
    provider_id: String,
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    error: Option<Value>,
    #[serde(default)]
    tags_per_spec: Vec<BTreeMap<String, String>>,
    #[serde(default)]
    describe_filters: Vec<String>,
    min: Option<u32>,
    max: Option<u32>,
    name: Option<String>,
    instance: Option<String>,
}

fn cases(kind: &str) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for value in vectors::read::<Value>("nodes/aws")? {
        if value["kind"] == kind {
            cases.push(serde_json::from_value(value)?);
        }
    }
    ensure!(!cases.is_empty(), "no case of kind {kind}");
    Ok(cases)
}

#[test]
fn groups_are_discovered_by_the_same_tags() -> anyhow::Result<()> {
    for Case {
        id,
        specs,
        expected,
        ..
    } in cases("autoDiscovery")?
    {
        let parsed = specs.iter().map(|spec| spec.parse::<AutoDiscovery>());
        let parsed: Result<Vec<_>, _> = parsed.collect();
        ensure!(
            parsed.is_err() == expected.error.is_some(),
            "{id}: {specs:?}: {parsed:?}"
        );
        let Ok(parsed) = parsed else { continue };
        let per_spec: Vec<_> = parsed.iter().map(|one| one.tags.clone()).collect();
        ensure!(per_spec == expected.tags_per_spec, "{id}: {per_spec:?}");
        let tags = all_tags(&parsed)?;
        let filters = tags.iter().map(|(key, value)| filter(key, value));
        let mut filters: Vec<_> = filters.map(|(name, v)| format!("{name}={v}")).collect();
        filters.sort();
        ensure!(filters == expected.describe_filters, "{id}: {filters:?}");
    }
    Ok(())
}

#[test]
fn tags_that_contradict_each_other_are_refused_where_the_peer_merges_them() -> anyhow::Result<()> {
    assert!("asg:tag=a=1,a=2".parse::<AutoDiscovery>().is_err());
    let both = ["asg:tag=a=1".parse()?, "asg:tag=a=2".parse()?];
    let message = all_tags(&both).map_err(|error| error.to_string());
    assert!(message.is_err_and(|message| message.contains("\"1\" and \"2\"")));
    let one_is_open = ["asg:tag=a=1".parse()?, "asg:tag=a".parse()?];
    assert_eq!(
        all_tags(&one_is_open)?,
        BTreeMap::from([("a".into(), "1".into())])
    );
    Ok(())
}

#[test]
fn groups_are_named_with_the_same_bounds() -> anyhow::Result<()> {
    for Case {
        id, spec, expected, ..
    } in cases("nodesFlag")?
    {
        let parsed = spec.parse::<NodeGroupSpec>();
        ensure!(
            parsed.is_err() == expected.error.is_some(),
            "{id}: {spec:?}: {parsed:?}"
        );
        let Ok(parsed) = parsed else { continue };
        let found = (
            Some(parsed.min_size),
            Some(parsed.max_size),
            Some(parsed.name),
        );
        let wanted = (expected.min, expected.max, expected.name);
        ensure!(found == wanted, "{id}: {found:?}");
    }
    Ok(())
}

#[test]
fn provider_ids_name_the_same_instances() -> anyhow::Result<()> {
    for Case {
        id,
        provider_id,
        expected,
        ..
    } in cases("providerID")?
    {
        let found = instance(&provider_id);
        let wanted = expected.instance.as_deref();
        let wanted = wanted.filter(|_| !provider_id.starts_with(IDS_WITH_A_PREFIX));
        ensure!(found == wanted, "{id}: {provider_id}: {found:?}");
    }
    Ok(())
}
