//! Documents and progress: the newer wins, whenever it comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::{Offset, Partition};
use schemas::Document;
use state::{Applied, DeviceKey, Write};

use super::Machine;

/// Documents and progress as they must be.
#[derive(Default)]
pub(super) struct Tables {
    /// Source and name of the document of each device.
    documents: BTreeMap<u8, (Offset, u64)>,
    applied: BTreeMap<Partition, Applied>,
    writes: u64,
}

impl Machine {
    pub(super) async fn write(&mut self, devices: &[(u8, bool)]) -> Result<String, String> {
        let mut writes: BTreeMap<u8, Write> = BTreeMap::new();
        for (device, late) in devices {
            self.tables.writes += 1;
            let known = self.tables.documents.get(device).map_or(0, |(source, _)| *source);
            let source = if *late { known.saturating_sub(1) } else { known + 2 };
            if writes.contains_key(device) {
                continue;
            }
            let key = key_of(*device);
            let document = Document {
                tenant: key.tenant.clone(),
                id: key.device.clone(),
                version: self.tables.writes,
                ..Document::default()
            };
            writes.insert(
                *device,
                Write {
                    key,
                    partition: 0,
                    document: Some(Arc::new(document)),
                    source,
                },
            );
            if source > known {
                self.tables
                    .documents
                    .insert(*device, (source, self.tables.writes));
            }
        }
        let writes = writes.into_values().collect();
        self.node
            .store
            .documents
            .write(writes)
            .await
            .map_err(|error| error.to_string())?;
        Ok("written".to_owned())
    }

    pub(super) async fn record_applied(
        &mut self,
        partition: Partition,
        late: bool,
    ) -> Result<String, String> {
        let known = self.tables.applied.get(&partition).cloned().unwrap_or_default();
        let source = if late {
            known.source.saturating_sub(1)
        } else {
            known.source + 2
        };
        let applied = Applied {
            source,
            state: source * 2,
            ..Applied::default()
        };
        let progress = &self.node.store.progress;
        progress
            .set_applied(partition, &applied)
            .await
            .map_err(|error| error.to_string())?;
        if source > known.source {
            self.tables.applied.insert(partition, applied);
        }
        Ok("recorded".to_owned())
    }

    pub(super) async fn tables_hold(&self) -> Result<(), String> {
        let keys: Vec<_> = self
            .tables
            .documents
            .keys()
            .map(|device| (0, key_of(*device)))
            .collect();
        let found = self
            .node
            .store
            .documents
            .get(&keys)
            .await
            .map_err(|error| error.to_string())?;
        for ((device, due), found) in self.tables.documents.iter().zip(found) {
            let found = found.map(|stored| (stored.source, stored.document.version));
            if found != Some(*due) {
                return Err(format!(
                    "the document of device {device} is {found:?}, should be {due:?}"
                ));
            }
        }
        for (partition, due) in &self.tables.applied {
            let found = self
                .node
                .store
                .progress
                .applied(*partition)
                .await
                .map_err(|error| error.to_string())?;
            if found.as_ref() != Some(due) {
                return Err(format!(
                    "progress of partition {partition} is {found:?}, should be {due:?}"
                ));
            }
        }
        Ok(())
    }
}

fn key_of(device: u8) -> DeviceKey {
    DeviceKey {
        tenant: "acme".into(),
        device: format!("bus-{device}").into(),
    }
}
