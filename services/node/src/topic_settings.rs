//! Settings of the topics, as data: `infra/kafka/topics.toml`, compiled in.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::Topic;
use journal::kafka::TopicSettings;
use serde::Deserialize;

const TEXT: &str = include_str!("../../../infra/kafka/topics.toml");
/// Never applied above the replication, or no record could be appended.
const MIN_INSYNC: &str = "min.insync.replicas";

/// What follows the setting `retention` where the file has its default.
const RETENTION: &[&str] = &["retention.ms", "min.compaction.lag.ms", "delete.retention.ms"];
/// The default of the setting `retention`.
const WEEK_MS: &str = "604800000";

#[derive(Deserialize)]
struct File {
    defaults: Defaults,
    topics: BTreeMap<String, One>,
}

#[derive(Deserialize)]
struct Defaults {
    config: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct One {
    name: String,
    #[serde(default)]
    config: BTreeMap<String, String>,
}

/// The settings of each topic on a cluster that keeps `replication` copies, with events kept for `retention`
/// and what compaction would remove kept as long.
///
/// # Errors
/// When the file is not as it should be; a test keeps it so.
pub fn read(replication: u32, retention: Duration) -> Result<Vec<TopicSettings>, String> {
    let file: File = toml::from_str(TEXT).map_err(|error| format!("infra/kafka/topics.toml: {error}"))?;
    let settings = file.topics.into_values().map(|one| {
        let topic = Topic::ALL.into_iter().find(|topic| topic.name() == one.name);
        let topic =
            topic.ok_or_else(|| format!("infra/kafka/topics.toml: there is no topic {}", one.name))?;
        let mut config = file.defaults.config.clone();
        config.extend(one.config);
        if let Some(least) = config.get_mut(MIN_INSYNC)
            && least.parse().is_ok_and(|least: u32| least > replication)
        {
            *least = replication.to_string();
        }
        for name in RETENTION {
            if let Some(kept) = config.get_mut(*name).filter(|kept| *kept == WEEK_MS) {
                *kept = retention.as_millis().to_string();
            }
        }
        Ok(TopicSettings {
            topic,
            config: config.into_iter().collect(),
        })
    });
    settings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

    #[test]
    fn every_topic_has_settings() {
        let mut topics: Vec<_> = read(3, WEEK)
            .unwrap()
            .into_iter()
            .map(|settings| settings.topic)
            .collect();
        topics.sort_unstable();
        assert_eq!(topics, Topic::ALL);
    }

    #[test]
    fn a_single_broker_is_not_asked_for_two_replicas() {
        for settings in read(1, WEEK).unwrap() {
            assert!(settings.config.contains(&(MIN_INSYNC.to_owned(), "1".to_owned())));
        }
    }
}
