//! Provider IDs of instances: `aws:///ZONE/INSTANCE`.

/// Returns the instance of a Node's spec.providerID. `None` if it names no EC2
/// instance.
#[must_use]
pub fn instance(provider_id: &str) -> Option<&str> {
    let (zone, instance) = provider_id.strip_prefix("aws:///")?.split_once('/')?;
    let is_name = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    (is_name(zone) && is_name(instance) && !instance.is_empty()).then_some(instance)
}

/// Returns the spec.providerID of an instance's Node.
#[must_use]
pub fn provider_id(zone: &str, instance: &str) -> String {
    format!("aws:///{zone}/{instance}")
}
