//! The administrative port.

use super::{Harness, PARTITIONS};
use crate::Topic;
use schemas::control::Layout;

/// And making them again changes nothing.
pub async fn the_topics_are_described_as_they_were_made(harness: &dyn Harness) {
    let admin = harness.admin().await;
    admin.create(PARTITIONS + 3, 1).await.expect("nothing to do");
    let topics = admin.describe().await.expect("topics");
    for topic in Topic::ALL {
        let described = topics
            .iter()
            .find(|described| described.topic == topic)
            .expect("every topic exists");
        let partitions = if topic == Topic::Control { 1 } else { PARTITIONS };
        assert_eq!(described.partitions, partitions, "{topic:?}");
        assert!(!described.unclean_election, "{topic:?}");
        if let (Some(replicas), Some(min_insync)) = (described.replicas, described.min_insync) {
            assert!(min_insync <= replicas, "{topic:?} can be appended to");
        }
    }
}

/// The newest counts; the cluster stays the same.
pub async fn the_layout_is_read_back_as_it_was_written(harness: &dyn Harness) {
    let layout = harness.handle().await.layout;
    let admin = harness.admin().await;
    assert_eq!(admin.layout().await.expect("a layout"), Some(layout.clone()));
    let newer = Layout {
        generation: layout.generation + 1,
        epoch: layout.epoch ^ 1,
        ..layout
    };
    admin.write_layout(&newer).await.expect("written");
    assert_eq!(admin.layout().await.expect("a layout"), Some(newer));
    let again = harness.admin().await;
    assert_eq!(admin.cluster_id().await, again.cluster_id().await);
}
