//! Errors of AWS, converted into the core's classes.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_autoscaling::error::{ProvideErrorMetadata, SdkError};
use flyball_decision::text::with_causes;
use flyball_nodes::cloud::{CloudError, NOT_LEADER};

use super::leading::NotLeader;

/// Converts the error of a call. The message names the call, its subject and the cause.
pub(super) fn call_error<E, R>(call: &str, subject: &str, error: SdkError<E, R>) -> CloudError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let (class, cause) = match &error {
        SdkError::ServiceError(service) => {
            let (code, message) = (service.err().code(), service.err().message());
            let (code, message) = (code.unwrap_or("no code"), message.unwrap_or("no message"));
            (service_class(code, message), format!("{code}: {message}"))
        }
        _ => (connection_class(&error), connection_problem(&error)),
    };
    CloudError {
        class,
        message: format!("{call} of {subject}: {cause}"),
    }
}

/// Returns the error of an order that the provider itself refuses.
pub(super) fn order_error(class: &'static str, call: &str, group: &str, why: &str) -> CloudError {
    let message = format!("{call} of node group {group}: {why}");
    CloudError { class, message }
}

fn service_class(code: &str, message: &str) -> &'static str {
    const DENIED: [&str; 8] = [
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    ];
    const THROTTLED: [&str; 4] = [
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    ];
    const OUT_OF_RESOURCES: [&str; 4] = [
        "InstanceLimitExceeded",
        "InsufficientInstanceCapacity",
        "LimitExceeded",
        "VcpuLimitExceeded",
    ];
    if DENIED.contains(&code) {
        "AccessDenied"
    } else if THROTTLED.contains(&code) {
        "Throttled"
    } else if OUT_OF_RESOURCES.contains(&code) {
        "OutOfResources"
    } else if code == "InvalidInstanceID.NotFound"
        || code == "ValidationError" && message.contains("not found")
    {
        "NotFound"
    } else if code == "ValidationError" && message.contains("min size constraint") {
        "MinSize"
    } else if code == "ValidationError"
        && (message.contains("above max value") || message.contains("below min value"))
    {
        "InvalidSize"
    } else {
        "Other"
    }
}

fn connection_class<E, R>(error: &SdkError<E, R>) -> &'static str
where
    E: Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    if causes(error).any(|cause| cause.is::<CredentialsError>()) {
        return "AccessDenied";
    }
    match causes(error).find_map(|cause| cause.downcast_ref::<NotLeader>()) {
        Some(NotLeader::NotSent) => return NOT_LEADER,
        Some(NotLeader::NotSentAgain) => return "Unreachable",
        None => {}
    }
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => "Unreachable",
        _ => "Other",
    }
}

/// Returns why a call was not answered, and what to do about it. The SDK's own messages
/// name its layers, and each place where it looked for credentials.
fn connection_problem<E, R>(error: &SdkError<E, R>) -> String
where
    E: Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let first = causes(error).last().map(ToString::to_string);
    let first = first.unwrap_or_else(|| error.to_string());
    match causes(error).find_map(|cause| cause.downcast_ref()) {
        Some(CredentialsError::CredentialsNotLoaded(_)) => {
            return "no AWS credentials were found: set AWS_ACCESS_KEY_ID and \
                AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the pod a role"
                .to_owned();
        }
        Some(_) => return format!("the AWS credentials can't be used: {first}"),
        None => {}
    }
    if causes(error).any(|cause| cause.is::<NotLeader>()) {
        return first;
    }
    match error {
        SdkError::TimeoutError(_) => "AWS did not answer in time".to_owned(),
        SdkError::DispatchFailure(_) => format!(
            "AWS can't be reached: {first}; check the region (AWS_REGION, --aws-region) and the \
             network"
        ),
        _ => with_causes(error),
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&'a (dyn Error + 'static)| {
        (**cause).source()
    })
}

#[cfg(test)]
mod tests {
    use super::service_class;

    #[test]
    fn answers_of_the_service_have_classes() {
        for (code, message, class) in [
            ("AccessDenied", "User x is not authorized", "AccessDenied"),
            ("Throttling", "Rate exceeded", "Throttled"),
            (
                "ValidationError",
                "AutoScalingGroup name not found - null",
                "NotFound",
            ),
            (
                "ValidationError",
                "New SetDesiredCapacity value 9 is above max value 4 for the AutoScalingGroup.",
                "InvalidSize",
            ),
            (
                "ValidationError",
                "Instance Id not found - No managed instance found for instance ID i-0",
                "NotFound",
            ),
            (
                "InvalidInstanceID.NotFound",
                "The instance ID 'i-0' does not exist",
                "NotFound",
            ),
            (
                "ValidationError",
                "Currently, desiredSize equals minSize (1). Terminating instance without \
                 replacement will violate group's min size constraint.",
                "MinSize",
            ),
            ("ScalingActivityInProgress", "wait", "Other"),
        ] {
            assert_eq!(service_class(code, message), class, "{code}");
        }
    }
}
