//! Kafka and a CQL server.

use std::sync::Arc;

use access::NodeKey;
use journal::kafka::{self, Kafka};
use journal::{Clock, Journal};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use schemas::control::Layout;
use state::scylla::{self, Cql, Replication};

use super::switch::Switch;
use super::{OpenError, Opened, check_ends, new_node_key, node_key, node_key_file};
use crate::config::Config;
use crate::migrate::{self, Migrated};
use crate::topic_settings;

/// Name of the row that holds the node key.
const NODE_KEY_SECRET: &str = "node_key";
/// Where they are, for messages.
const TOPICS: &str = "the Kafka cluster";

/// Connects to both and checks that they belong together.
pub(super) async fn open(
    brokers: &[String],
    contact_points: &[String],
    config: &Config,
    clock: &Clock,
    registry: &prometheus::Registry,
) -> Result<Opened, OpenError> {
    let (kafka, cql) = connect(brokers, contact_points, config, clock, registry).await?;
    let admin = kafka.admin();
    let layout = admin.layout().await.map_err(server)?;
    let stored = cql.layout().await.map_err(server)?;
    let layout = match (layout, stored) {
        (Some(layout), Some(stored)) if layout == stored => layout,
        (Some(_) | None, Some(_)) => return Err(OpenError::Layout(migrate::RECREATED.to_owned())),
        (_, None) => return Err(OpenError::NotMigrated(TOPICS.to_owned())),
    };
    cql.check_migrations().await.map_err(server)?;
    check_topics(&kafka, &layout, config).await?;
    check_replicas(&cql, config).await?;

    let journal: Journal = kafka.journal(layout);
    let switch = Switch::open(cql.clone(), journal.layout.clone(), registry).await?;
    let store = switch.store();
    check_ends(&journal, &store).await?;
    let node_key = match node_key_file(config)? {
        Some(key) => key,
        None => shared_key(&cql).await?,
    };
    Ok(Opened {
        journal,
        store,
        node_key,
        engine: None,
        cql: Some(cql),
        switch: Some(switch),
    })
}

/// Creates topics and tables, and writes the layout to both.
pub(super) async fn migrate(
    brokers: &[String],
    contact_points: &[String],
    config: &Config,
    clock: &Clock,
    registry: &prometheus::Registry,
    new_epoch: bool,
) -> Result<(Layout, Migrated), OpenError> {
    let (kafka, cql) = connect(brokers, contact_points, config, clock, registry).await?;
    cql.migrate().await.map_err(server)?;
    let stored = cql.layout().await.map_err(server)?;
    let admin = kafka.admin();
    let (layout, migrated) = migrate::log(admin.as_ref(), config, clock, stored, new_epoch)
        .await
        .map_err(OpenError::Layout)?;
    let stands = cql.write_layout(&layout).await.map_err(server)?;
    if stands != layout {
        return Err(OpenError::Layout(migrate::RECREATED.to_owned()));
    }
    shared_key(&cql).await?;
    check_topics(&kafka, &layout, config).await?;
    Ok((layout, migrated))
}

async fn connect(
    brokers: &[String],
    contact_points: &[String],
    config: &Config,
    clock: &Clock,
    registry: &prometheus::Registry,
) -> Result<(Kafka, Cql), OpenError> {
    let replication = if config.allow_weak_durability {
        1
    } else {
        config.replication
    };
    let mut settings = config.kafka_settings.clone();
    settings.brokers = brokers.join(",");
    settings.properties.clone_from(&config.kafka_properties);
    settings.topics = topic_settings::read(replication, config.retention).map_err(OpenError::Settings)?;
    let mut tables = config.cql_settings.clone();
    tables.contact_points = contact_points.to_vec();
    tables.keyspace.clone_from(&config.cql_keyspace);
    tables.user.clone_from(&config.cql_user);
    tables.password = config.cql_password.as_ref().map(|password| password.0.clone());
    tables.tls = cql_tls(config)?;
    let one = Replication::Simple(if config.allow_weak_durability {
        1
    } else {
        config.cql_replication
    });
    tables.replication = one;
    // Both are tried, so that one start tells of both.
    let (kafka, cql) = tokio::join!(
        kafka::connect(settings, registry),
        Box::pin(scylla::Cql::connect(tables, clock.clone()))
    );
    match (kafka, cql) {
        (Ok(kafka), Ok(cql)) => Ok((kafka, cql)),
        (Err(kafka), Ok(_)) => Err(OpenError::Server(kafka.to_string())),
        (Ok(_), Err(cql)) => Err(OpenError::Server(cql.to_string())),
        (Err(kafka), Err(cql)) => Err(OpenError::Server(format!("{kafka}\n{cql}"))),
    }
}

/// Refuses topics that are not those of the layout, or that could lose what was acknowledged.
async fn check_topics(kafka: &Kafka, layout: &Layout, config: &Config) -> Result<(), OpenError> {
    let found = kafka.admin().describe().await.map_err(server)?;
    let mut weak = Vec::new();
    for topic in journal::Topic::ALL {
        let name = topic.name();
        let Some(description) = found.iter().find(|description| description.topic == topic) else {
            return Err(OpenError::Layout(format!(
                "topic {name} is missing: run `wakeline migrate`"
            )));
        };
        let expected = match topic {
            journal::Topic::Events | journal::Topic::State => Some(layout.partitions),
            journal::Topic::Control => Some(1),
            journal::Topic::Rejected => None,
        };
        if expected.is_some_and(|expected| expected != description.partitions) {
            return Err(OpenError::Layout(format!(
                "topic {name} has {} partitions, but the layout says {}: devices would be looked for in the wrong \
                 place. Partitions of a topic must never be added; recreate the topic, then run \
                 `wakeline migrate --new-epoch`",
                description.partitions,
                expected.unwrap_or_default(),
            )));
        }
        if description.replicas.is_some_and(|replicas| replicas < 3) {
            weak.push(format!(
                "topic {name} has {} replicas, fewer than 3",
                description.replicas.unwrap_or(0)
            ));
        }
        if description.min_insync.is_some_and(|replicas| replicas < 2) {
            weak.push(format!("topic {name} has min.insync.replicas below 2"));
        }
        if description.unclean_election {
            weak.push(format!("topic {name} has unclean.leader.election.enable=true"));
        }
    }
    if weak.is_empty() || config.allow_weak_durability {
        return Ok(());
    }
    Err(OpenError::WeakDurability(weak.join("\n")))
}

async fn check_replicas(cql: &Cql, config: &Config) -> Result<(), OpenError> {
    let replicas = cql.replicas().await.map_err(server)?;
    if replicas.is_some_and(|replicas| replicas < 3) && !config.allow_weak_durability {
        return Err(OpenError::WeakDurability(format!(
            "keyspace {} has {} replicas, fewer than 3",
            config.cql_keyspace,
            replicas.unwrap_or_default(),
        )));
    }
    Ok(())
}

/// The key that all nodes of this keyspace share, made on first use.
async fn shared_key(cql: &Cql) -> Result<NodeKey, OpenError> {
    let offered = new_node_key()?;
    let stands = cql
        .put_secret_if_absent(NODE_KEY_SECRET, offered.as_bytes())
        .await
        .map_err(server)?;
    String::from_utf8(stands)
        .ok()
        .and_then(|text| node_key(&text))
        .ok_or_else(|| {
            OpenError::NodeKey("the node key in the tables is damaged; set node-key-file".to_owned())
        })
}

fn cql_tls(config: &Config) -> Result<Option<Arc<rustls::ClientConfig>>, OpenError> {
    let Some(path) = &config.cql_ca_file else {
        return Ok(None);
    };
    let problem = |error: &dyn std::fmt::Display| {
        OpenError::Settings(format!("cql-ca-file {}: {error}", path.display()))
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| problem(&error))? {
        roots
            .add(certificate.map_err(|error| problem(&error))?)
            .map_err(|error| problem(&error))?;
    }
    let client = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(Arc::new(client)))
}

pub(super) fn server(error: impl std::fmt::Display) -> OpenError {
    OpenError::Server(error.to_string())
}
