//! A position and a location, which events and documents share.

use serde::{Deserialize, Serialize};

use super::{DecodeError, finite, owned};
use crate::document::DeviceLocation;
use crate::event::{Location, Point};

#[derive(Clone, Copy, Serialize, Deserialize)]
struct PointRecord {
    longitude: f64,
    latitude: f64,
    #[serde(default)]
    altitude: Option<f64>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LocationRecord<'a> {
    #[serde(borrow)]
    id: Option<&'a str>,
    name: Option<&'a str>,
    address: Option<&'a str>,
    r#type: Option<&'a str>,
    is_mobile: Option<bool>,
    geometry: Option<PointRecord>,
}

impl From<&Point> for PointRecord {
    fn from(it: &Point) -> Self {
        Self {
            longitude: it.longitude,
            latitude: it.latitude,
            altitude: it.altitude,
        }
    }
}

impl TryFrom<PointRecord> for Point {
    type Error = DecodeError;

    fn try_from(it: PointRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            longitude: finite("geometry.longitude", it.longitude)?,
            latitude: finite("geometry.latitude", it.latitude)?,
            altitude: it
                .altitude
                .map(|altitude| finite("geometry.altitude", altitude))
                .transpose()?,
        })
    }
}

impl<'a> From<&'a Location> for LocationRecord<'a> {
    fn from(it: &'a Location) -> Self {
        Self {
            id: it.id.as_deref(),
            name: it.name.as_deref(),
            address: it.address.as_deref(),
            r#type: it.location_type.as_deref(),
            is_mobile: it.is_mobile,
            geometry: it.geometry.as_ref().map(PointRecord::from),
        }
    }
}

impl TryFrom<LocationRecord<'_>> for Location {
    type Error = DecodeError;

    fn try_from(it: LocationRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: owned(it.id),
            name: owned(it.name),
            address: owned(it.address),
            location_type: owned(it.r#type),
            is_mobile: it.is_mobile,
            geometry: it.geometry.map(Point::try_from).transpose()?,
        })
    }
}

impl<'a> From<&'a DeviceLocation> for LocationRecord<'a> {
    fn from(it: &'a DeviceLocation) -> Self {
        Self {
            id: it.id.as_deref(),
            name: it.name.as_deref(),
            address: it.address.as_deref(),
            r#type: it.location_type.as_deref(),
            is_mobile: it.is_mobile,
            geometry: it.geometry.as_ref().map(PointRecord::from),
        }
    }
}

impl TryFrom<LocationRecord<'_>> for DeviceLocation {
    type Error = DecodeError;

    fn try_from(it: LocationRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: owned(it.id),
            name: owned(it.name),
            address: owned(it.address),
            location_type: owned(it.r#type),
            is_mobile: it.is_mobile,
            geometry: it.geometry.map(Point::try_from).transpose()?,
        })
    }
}
