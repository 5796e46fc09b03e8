//! CSIDrivers, CSIStorageCapacities and CSINodes in JSON: the fields that scheduling
//! uses.

use flyball_decision::quantity::Nano;
use flyball_placement as placement;
use flyball_placement::{Name, StorageObject};
use serde::Deserialize;

use super::convert::selector;
use super::pod::{LabelSelector, ObjectMetadata};

/// A CSIDriver of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CsiDriverObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    spec: CsiDriverSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CsiDriverSpec {
    storage_capacity: bool,
}

impl From<CsiDriverObject> for StorageObject {
    fn from(object: CsiDriverObject) -> Self {
        Self::Driver(placement::CsiDriver {
            name: object.metadata.name,
            storage_capacity: object.spec.storage_capacity,
        })
    }
}

/// A CSIStorageCapacity of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageCapacityObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    storage_class_name: Name,
    node_topology: Option<LabelSelector>,
    capacity: Option<Nano>,
    maximum_volume_size: Option<Nano>,
}

impl From<StorageCapacityObject> for StorageObject {
    fn from(object: StorageCapacityObject) -> Self {
        // The maximum volume size is the more precise of the two.
        let largest = object.maximum_volume_size.or(object.capacity);
        Self::Capacity(placement::StorageCapacity {
            namespace: object.metadata.namespace,
            name: object.metadata.name,
            class: object.storage_class_name,
            topology: object.node_topology.map(selector),
            largest: largest.map(Nano::units),
        })
    }
}

/// A CSINode of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CsiNodeObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    spec: CsiNodeSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct CsiNodeSpec {
    /// The API server writes null where there are none.
    drivers: Option<Vec<CsiNodeDriver>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CsiNodeDriver {
    name: Name,
    allocatable: Option<Allocatable>,
    /// The API server writes null where there are none.
    topology_keys: Option<Vec<Name>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Allocatable {
    count: Option<i64>,
}

impl From<CsiNodeObject> for StorageObject {
    fn from(object: CsiNodeObject) -> Self {
        let drivers = object.spec.drivers.unwrap_or_default().into_iter();
        let drivers = drivers.map(|driver| placement::CsiNodeDriver {
            name: driver.name,
            limit: driver.allocatable.and_then(|allocatable| allocatable.count),
            topology_keys: driver.topology_keys.unwrap_or_default(),
        });
        let migrated = object.metadata.annotations.migrated_plugins;
        let migrated = migrated.map(|list| list.split(',').map(Name::from).collect());
        Self::Node(placement::CsiNode {
            name: object.metadata.name,
            drivers: drivers.collect(),
            migrated: migrated.unwrap_or_default(),
        })
    }
}
