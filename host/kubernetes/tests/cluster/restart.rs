//! The API server stops during a run and is started again.

use flyball_test_support::wait_for;

use crate::apiserver;
use crate::fixture::{DEPLOYMENT, Flyball, MINUTE, WEB, autoscaler, cluster};

#[test]
fn the_reader_outlives_the_api_server() {
    let cluster = cluster();
    cluster.apply(DEPLOYMENT).unwrap();
    cluster.apply(&autoscaler("web", WEB)).unwrap();
    let flyball = Flyball::connect(&cluster);
    let seen = || {
        Ok(flyball
            .observe("web")
            .filter(|observed| observed.scale.is_ok()))
    };
    wait_for("the target", MINUTE, seen).unwrap();

    let stopped = apiserver::stop(&cluster);
    let observation = flyball.observe("web").unwrap();
    let error = observation.scale.unwrap_err();
    assert_eq!(error.class, "scaleUnavailable");
    assert!(
        error.message.contains("Deployment \"web\""),
        "{}",
        error.message
    );
    assert!(observation.metrics.is_empty());

    let _apiserver = stopped.start();
    wait_for("the target after the restart", 2 * MINUTE, seen).unwrap();
    // The watches have started again too.
    let later = || cluster.apply(&autoscaler("later", WEB)).map(Some);
    wait_for("the API server to take an object", MINUTE, later).unwrap();
    wait_for("a new autoscaler", 2 * MINUTE, || {
        Ok(flyball.autoscaler("later"))
    })
    .unwrap();
}
