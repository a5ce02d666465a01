//! Streams to many clients at their own pace, and the native API.
//!
//! [`engine`] delivers: a tail and a ring for each needed partition, workers that own connections, and
//! for each connection a cursor. It keeps nothing that another gateway would need. What a stream wants
//! is a [`Subscription`]; how it is spelled on the wire is a [`Dialect`]'s business.

mod applied;
mod commands;
pub mod desk;
pub mod device_socket;
pub mod dialect;
pub mod engine;
pub mod filters;
pub mod front_door;
pub mod native;
pub mod open;
pub mod settings;
pub mod subscription;

pub use commands::CommandLimits;
pub use desk::{Desk, DeskSettings};
pub use device_socket::{DeviceSocketSettings, DeviceSockets};
pub use dialect::Dialect;
pub use engine::{Adoption, Counts, Engine, Reading, Refused, Seat, Sink};
pub use filters::Filters;
pub use front_door::{FrontDoor, FrontDoorSettings};
pub use native::{NativeSettings, SchemaRegistry};
pub use open::{OpenSettings, Streams};
pub use settings::Settings;
pub use subscription::{
    Delivery, DeviceSet, KindSet, Reset, ResetReason, Selection, SnapshotStart, Start, Subscription,
    TenantScope, Told, Transport, View,
};
