//! Options of a group's own from its tags,
//! `k8s.io/cluster-autoscaler/node-template/autoscaling-options/…`.

use flyball_decision::time::parse_go_duration;
use flyball_nodes::cloud::GroupScaleDown;

const PREFIX: &str = "k8s.io/cluster-autoscaler/node-template/autoscaling-options/";

/// Returns the options that a group's tags set. Tags that can't be read are left out, and
/// reported to `problem`.
pub(super) fn from_tags<'a>(
    tags: impl IntoIterator<Item = (&'a str, &'a str)>,
    mut problem: impl FnMut(String),
) -> GroupScaleDown {
    let mut options = GroupScaleDown::default();
    for (key, value) in tags {
        let Some(name) = key.strip_prefix(PREFIX) else {
            continue;
        };
        if let Err(expected) = set(&mut options, name, value) {
            problem(format!("{key}: {value:?} is not {expected}"));
        }
    }
    options
}

/// Sets an option. Returns what was expected if the value can't be read.
fn set(options: &mut GroupScaleDown, name: &str, value: &str) -> Result<(), &'static str> {
    match name {
        "scaledownutilizationthreshold" => {
            options.utilization_threshold = Some(threshold(value)?);
        }
        "scaledowngpuutilizationthreshold" => {
            options.gpu_utilization_threshold = Some(threshold(value)?);
        }
        "scaledownunneededtime" => options.unneeded_time_ms = Some(duration(value)?),
        "scaledownunreadytime" => options.unready_time_ms = Some(duration(value)?),
        "maxnodeprovisiontime" => options.max_node_provision_time_ms = Some(duration(value)?),
        "ignoredaemonsetsutilization" => {
            options.ignore_daemonsets_utilization = Some(switch(value)?);
        }
        // Ours: Cluster Autoscaler has no such option.
        "maxdisruption" => {
            let limit = value
                .parse()
                .map_err(|_| "a limit such as 10%, 5 or 20/1h")?;
            options.max_disruption = Some(limit);
        }
        _ => return Err("of a known option"),
    }
    Ok(())
}

fn threshold(value: &str) -> Result<f64, &'static str> {
    let parsed = value.parse().ok();
    let parsed = parsed.filter(|share: &f64| share.is_finite() && *share >= 0.0);
    parsed.ok_or("a share such as 0.5")
}

fn duration(value: &str) -> Result<i64, &'static str> {
    parse_go_duration(value).ok_or("a duration such as 10m0s")
}

/// Parses a truth value as Go's strconv.ParseBool does.
fn switch(value: &str) -> Result<bool, &'static str> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("true or false"),
    }
}

#[cfg(test)]
mod tests {
    use flyball_nodes::cloud::GroupScaleDown;

    use super::{PREFIX, from_tags};

    fn read(tags: &[(&str, &str)]) -> (GroupScaleDown, Vec<String>) {
        let tags: Vec<_> = tags
            .iter()
            .map(|(name, value)| (format!("{PREFIX}{name}"), *value))
            .collect();
        let mut problems = Vec::new();
        let tags = tags.iter().map(|(key, value)| (key.as_str(), *value));
        let options = from_tags(tags, |text| problems.push(text));
        (options, problems)
    }

    #[test]
    fn tags_set_options_as_the_peer_reads_them() {
        let (options, problems) = read(&[
            ("scaledownutilizationthreshold", "0.7"),
            ("scaledowngpuutilizationthreshold", "1"),
            ("scaledownunneededtime", "1h30m"),
            ("scaledownunreadytime", "0"),
            ("maxnodeprovisiontime", "5m0s"),
            ("ignoredaemonsetsutilization", "True"),
            ("maxdisruption", "20/1h"),
        ]);
        let expected = GroupScaleDown {
            utilization_threshold: Some(0.7),
            gpu_utilization_threshold: Some(1.0),
            unneeded_time_ms: Some(5_400_000),
            unready_time_ms: Some(0),
            max_node_provision_time_ms: Some(300_000),
            zero_or_max: false,
            ignore_daemonsets_utilization: Some(true),
            max_disruption: "20/1h".parse().ok(),
        };
        assert_eq!((options, problems), (expected, Vec::new()));
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_told() {
        let (options, problems) = read(&[
            ("scaledownutilizationthreshold", "NaN"),
            ("scaledowngpuutilizationthreshold", "-0.1"),
            ("scaledownunneededtime", "10"),
            ("scaledownunreadytime", "-5m"),
            ("ignoredaemonsetsutilization", "yes"),
            ("scaledowntime", "5m"),
            ("maxdisruption", "many"),
        ]);
        assert_eq!(options, GroupScaleDown::default());
        assert_eq!(problems.len(), 7, "{problems:?}");
        assert!(problems[2].ends_with("unneededtime: \"10\" is not a duration such as 10m0s"));
        assert!(problems[5].ends_with("is not of a known option"));
    }
}
