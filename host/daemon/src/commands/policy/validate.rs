//! `flyball policy validate`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use flyball_decision::policy::{ConfigurationsInUse, PolicyVersion};
use flyball_sandbox::Registry;
use serde_json::{Map, Value, json};

use super::{Exit, configuration};
use crate::cli::{Format, ValidateArgs};
use crate::output::{self, BAD, GOOD, plain, styled};
use crate::{policies, wiring};

pub fn run(args: &ValidateArgs) -> anyhow::Result<Exit> {
    let source = policies::find(&args.policy)?;
    let configuration = args.config.as_deref().map(configuration::read);
    let configuration = configuration.transpose()?;
    let registry = wiring::fixed_registry(&[], &args.budgets)?;
    let admitted = admit(&registry, &source, configuration.as_ref());
    let needs = match configuration {
        None => registry
            .compiled(&source.name)
            .and_then(|policy| configuration::need(&policy)),
        Some(_) => None,
    };
    match args.output.format {
        Format::Json => output::print_json(&match &admitted {
            Ok(version) => json!({
                "valid": true, "version": &**version, "configurationNeeded": needs,
            }),
            Err(error) => json!({"valid": false, "reason": format!("{error:#}")}),
        })?,
        Format::Text => print(&args.policy, &admitted, needs.as_deref())?,
    }
    Ok(match admitted {
        Ok(_) => Exit::Success,
        Err(_) => Exit::Different,
    })
}

/// Admits a policy to a registry, as one that objects use with this configuration.
fn admit(
    registry: &Registry,
    source: &policies::Source,
    configuration: Option<&Map<String, Value>>,
) -> anyhow::Result<Arc<PolicyVersion>> {
    if let Some(configuration) = configuration {
        let text = serde_json::to_string(configuration)?;
        let in_use = ConfigurationsInUse::from([(Arc::default(), BTreeSet::from([text.into()]))]);
        registry.set_configurations_in_use(BTreeMap::from([(source.name.clone(), in_use)]));
    }
    let version = registry.install(&source.name, &source.component)?;
    // If the configuration did not fit the version before either, the daemon accepts the
    // policy and refuses the object.
    if let (Some(configuration), Some(policy)) = (configuration, registry.compiled(&source.name)) {
        policy
            .check_configuration(configuration)
            .context("the configuration does not fit")?;
    }
    Ok(version)
}

/// `needs`: why the policy cannot decide without a configuration.
fn print(
    policy: &str,
    admitted: &anyhow::Result<Arc<PolicyVersion>>,
    needs: Option<&str>,
) -> anyhow::Result<()> {
    let mut out = output::out();
    match admitted {
        Ok(version) => {
            let (name, digest) = (&version.name, version.short_digest());
            let valid = styled(GOOD, "valid");
            writeln!(out, "{valid}  {name}@{digest} would be taken")?;
            if let Some(needs) = needs.map(plain) {
                writeln!(
                    out,
                    "       it cannot decide without a configuration ({needs}), so no decision was \
                     tried: give one with --config"
                )?;
            }
        }
        Err(error) => {
            let problem = plain(format!("{policy}: {error:#}"));
            writeln!(out, "{}  {problem}", styled(BAD, "not valid"))?;
        }
    }
    Ok(())
}
