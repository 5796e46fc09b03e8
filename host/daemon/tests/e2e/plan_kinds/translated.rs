//! Volumes of in-tree plugins that were migrated to CSI drivers.

use serde_json::{Value, json};

use super::storage::{affinity, bound, csi_node, migrated};
use super::world::{Table, labelled, merged, mounting, node, pod, waiting};

#[test]
fn volumes_of_plugins_that_left_the_tree_are_translated_as_the_scheduler_does_it() {
    const BETA_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
    const BETA_REGION: &str = "failure-domain.beta.kubernetes.io/region";
    const ZONE: &str = "topology.kubernetes.io/zone";
    const REGION: &str = "topology.kubernetes.io/region";
    let table = Table::new();
    let ebs = json!({"spec": {"awsElasticBlockStore": {"volumeID": "aws://eu-1-a/vol-1"}}});
    let gce = json!({"spec": {"gcePersistentDisk": {"pdName": "disk"}}});
    let cinder = json!({"spec": {"cinder": {"volumeID": "1"}}});
    let portworx = json!({"spec": {"portworxVolume": {"volumeID": "1"}}});
    let disk =
        json!({"spec": {"azureDisk": {"diskName": "d", "diskURI": "/d", "kind": "Managed"}}});
    let file = json!({"spec": {"azureFile": {"secretName": "s", "shareName": "s"}}});
    let vsphere = json!({"spec": {"vsphereVolume": {"volumePath": "[ds] v.vmdk"}}});
    let labels = |labels: &Value| json!({"metadata": {"labels": labels}});
    let beta = || affinity(&[&[(BETA_ZONE, "eu-1-a"), (BETA_REGION, "r")]]);
    let plugins = [
        "aws-ebs",
        "azure-disk",
        "azure-file",
        "cinder",
        "gce-pd",
        "portworx-volume",
        "vsphere-volume",
    ];
    let all = plugins
        .map(|plugin| format!("kubernetes.io/{plugin}"))
        .join(",");
    let but_ebs = all.replace("kubernetes.io/aws-ebs,", "");
    // The driver's zone differs from the cloud's, so that the test shows which one is
    // read.
    let nodes = |driver_key: &str, plugins: &str| {
        let n1 = node("n1", "a", "4");
        let mut items = vec![
            labelled(n1, &json!({ZONE: "eu-1-a", REGION: "r"})),
            migrated(csi_node("n1", &[]), plugins),
            pod("filler", "3", "n1"),
        ];
        if !driver_key.is_empty() {
            items[0] = labelled(items[0].clone(), &json!({driver_key: "eu-1-a"}));
        }
        items
    };
    let helped: &[(&str, u64, u64)] = &[("a", 1, 2)];
    let volume =
        |what, driver_key: &str, plugins: &str, source: &Value, more: &Value, fits: bool| {
            let case = table
                .case(what)
                .group("a")
                .items(nodes(driver_key, plugins))
                .items(bound("data", &merged(source.clone(), more)))
                .item(mounting(waiting("db", "2"), &["data"]));
            if fits {
                case.orders(helped);
            } else {
                case.remaining(1).orders(&[]);
            }
        };
    let ebs_key = "topology.ebs.csi.aws.com/zone";
    for (source, key) in [
        (&ebs, ebs_key),
        (&gce, "topology.gke.io/zone"),
        (&cinder, "topology.cinder.csi.openstack.org/zone"),
    ] {
        volume(
            "beta labels become the driver's and the newer region",
            key,
            &all,
            source,
            &beta(),
            true,
        );
        volume(
            "the newer zone becomes the driver's",
            key,
            &all,
            source,
            &affinity(&[&[(ZONE, "eu-1-a")]]),
            true,
        );
        volume(
            "the driver does not say where the node is",
            "",
            &all,
            source,
            &beta(),
            false,
        );
        volume(
            "no affinity, but labels of several zones",
            key,
            &all,
            source,
            &labels(&json!({BETA_ZONE: "eu-1-b__eu-1-a"})),
            true,
        );
        let elsewhere = labels(&json!({BETA_ZONE: "eu-1-b"}));
        volume(
            "the label of another zone",
            key,
            &all,
            source,
            &elsewhere,
            false,
        );
        volume(
            "the driver does not say where, with the label alone",
            "",
            &all,
            source,
            &labels(&json!({ZONE: "eu-1-a"})),
            false,
        );
        volume(
            "one term of several",
            key,
            &all,
            source,
            &affinity(&[&[(BETA_ZONE, "eu-1-b")], &[(BETA_ZONE, "eu-1-a")]]),
            true,
        );
        volume(
            "another zone",
            key,
            &all,
            source,
            &affinity(&[&[(BETA_ZONE, "eu-1-b")]]),
            false,
        );
        volume(
            "another region",
            key,
            &all,
            source,
            &affinity(&[&[(BETA_ZONE, "eu-1-a"), (BETA_REGION, "s")]]),
            false,
        );
        volume(
            "the region alone is no zone, and stays",
            key,
            &all,
            source,
            &affinity(&[&[(BETA_REGION, "r")]]),
            false,
        );
        volume(
            "what names the newer zone keeps its region",
            key,
            &all,
            source,
            &affinity(&[&[(ZONE, "eu-1-a"), (BETA_REGION, "r")]]),
            false,
        );
    }
    let regions = labels(&json!({BETA_ZONE: "eu-1-a__us-1-a"}));
    volume(
        "a disk in zones of two regions can't be translated",
        "topology.gke.io/zone",
        &all,
        &gce,
        &regions,
        false,
    );
    volume(
        "the node does not list the plugin",
        ebs_key,
        &but_ebs,
        &ebs,
        &beta(),
        false,
    );
    volume("no plugin is listed", ebs_key, "", &ebs, &beta(), false);
    volume(
        "the newer zone, not translated",
        "",
        &but_ebs,
        &ebs,
        &affinity(&[&[(ZONE, "eu-1-a")]]),
        true,
    );
    let azure_key = "topology.disk.csi.azure.com/zone";
    for source in [&disk, &file, &portworx, &vsphere] {
        volume(
            "no topology is made of it",
            azure_key,
            &all,
            source,
            &beta(),
            false,
        );
        volume(
            "its affinity stands",
            azure_key,
            &all,
            source,
            &affinity(&[&[(ZONE, "eu-1-a")]]),
            true,
        );
        let zone = labels(&json!({BETA_ZONE: "eu-1-a"}));
        volume(
            "its label is a zone's",
            azure_key,
            &all,
            source,
            &zone,
            true,
        );
    }
    let unmanaged = merged(
        disk.clone(),
        &json!({"spec": {"azureDisk": {"kind": "Shared"}}}),
    );
    volume(
        "an unmanaged disk can't be translated",
        azure_key,
        &all,
        &unmanaged,
        &json!({}),
        false,
    );
    volume(
        "an unmanaged disk, not migrated",
        azure_key,
        "kubernetes.io/aws-ebs",
        &unmanaged,
        &json!({}),
        true,
    );

    // The existing nodes, and new ones of a group without nodes.
    table
        .case("a node that is there")
        .items(nodes(ebs_key, &all))
        .items(bound("data", &merged(ebs.clone(), &beta())))
        .item(mounting(waiting("db", "1"), &["data"]))
        .group("a")
        .orders(&[]);
    table.case("a group without nodes, where the plugin is migrated as everywhere")
        .items(nodes(ebs_key, &all))
        .items(bound("data", &merged(ebs, &beta())))
        .item(mounting(waiting("db", "6"), &["data"]))
        .listed("{name: z, max: 2, template: {capacity: {cpu: 8, memory: 8Gi}, labels: {topology.ebs.csi.aws.com/zone: eu-1-a, topology.kubernetes.io/region: r}}}")
        .orders(&[("z", 0, 1)]);
}
