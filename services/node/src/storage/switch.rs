//! A state store whose tables can be replaced while it is open: `wakeline rebuild` fills another build
//! of them and lets it serve; running nodes notice and go over.
//!
//! Whoever reads and the projector go over each in their own time. The projector goes first, since it is
//! what brings the new tables up to date; it must not write to two builds from one memory of what it wrote,
//! so whoever runs it ends it before [`Switch::projector_goes`] and starts it anew after. Readers follow once
//! the new tables hold all that they may have seen, so that nothing goes back in time: see [`Switch::follow`].

mod tables;

use std::sync::Arc;
use std::time::Duration;

use journal::{Offset, Partition};
use prometheus::{IntGaugeVec, Opts};
use schemas::control::Layout;
use state::scylla::Cql;
use state::{Store, StoreError};

use super::OpenError;
use super::servers::server;
use tables::Tables;

/// How often a node asks which build serves.
pub const POLL: Duration = Duration::from_secs(5);

/// The stores that serve now, and the way to the next.
pub struct Switch {
    cql: Cql,
    layout: Layout,
    read: Arc<Tables>,
    folded: Arc<Tables>,
    builds: IntGaugeVec,
}

impl Switch {
    /// The store of the build that serves now.
    ///
    /// # Errors
    /// When the servers do not answer.
    pub async fn open(
        cql: Cql,
        layout: Layout,
        registry: &prometheus::Registry,
    ) -> Result<Arc<Self>, OpenError> {
        let builds = Opts::new(
            "wakeline_tables_build",
            "Number of the build of the tables that this process uses, by what for",
        );
        let builds = IntGaugeVec::new(builds, &["use"]).map_err(server)?;
        registry.register(Box::new(builds.clone())).map_err(server)?;
        let build = cql.serving(layout.generation).await.map_err(server)?;
        let store = Arc::new(cql.store(&layout, Some(build)).await.map_err(server)?);
        builds.with_label_values(&["read"]).set(build.into());
        Ok(Arc::new(Self {
            cql,
            layout,
            read: Tables::new(build, Arc::clone(&store)),
            folded: Tables::new(build, store),
            builds,
        }))
    }

    /// The ports of whoever reads.
    #[must_use]
    pub fn store(&self) -> Store {
        self.read.ports()
    }

    /// The ports of this process's projector.
    #[must_use]
    pub fn projector_store(&self) -> Store {
        self.tell("fold", self.folded.build());
        self.folded.ports()
    }

    /// Waits until another build serves than the one that the projector has.
    pub async fn projector_wanted(&self) -> u16 {
        self.wanted(&self.folded).await
    }

    /// The projector goes over to `build`; it does not run at present.
    ///
    /// # Errors
    /// When the servers do not answer; the old build stays open.
    pub async fn projector_goes(&self, build: u16) -> Result<(), StoreError> {
        let store = self.cql.store(&self.layout, Some(build)).await?;
        self.folded.replace(build, Arc::new(store));
        self.tell("fold", build);
        tracing::info!(build, "events are folded into these tables from now on");
        Ok(())
    }

    /// Readers go over whenever other tables serve and are as far as the old ones; never returns.
    ///
    /// From the first look at the new tables on, progress is told as the lesser of both, so that whatever is
    /// pinned or waited for is in both. How far the old tables are is noted a [`POLL`] later, which is longer
    /// than a question to the servers may take: all that was read of them before lies below that.
    pub async fn follow(&self) {
        loop {
            let build = self.wanted(&self.read).await;
            if let Err(error) = self.go_over(build).await {
                tracing::warn!(%error, build, "the new tables could not be opened; trying again");
            }
        }
    }

    async fn go_over(&self, build: u16) -> Result<(), StoreError> {
        let next = Arc::new(self.cql.store(&self.layout, Some(build)).await?);
        self.read.announce(Some(Arc::clone(&next)));
        tokio::time::sleep(POLL).await;
        let seen = self.progress(&self.read.now()).await?;
        loop {
            let reached = self.progress(&next).await?;
            let mut both = reached.iter().zip(&seen);
            if both.all(|(next, seen)| next.0 >= seen.0 && next.1 >= seen.1) {
                self.read.replace(build, next);
                self.tell("read", build);
                tracing::info!(build, "these tables are read from now on");
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
            if self.cql.serving(self.layout.generation).await? != build {
                self.read.announce(None);
                return Ok(());
            }
        }
    }

    /// How far each partition is in `store`: events folded, state records written.
    async fn progress(&self, store: &Store) -> Result<Vec<(Offset, Offset)>, StoreError> {
        let applied = (0..self.layout.partitions).map(|partition: Partition| async move {
            let applied = store.progress.applied(partition).await?;
            Ok(applied.map_or((0, 0), |applied| (applied.source, applied.state)))
        });
        futures::future::try_join_all(applied).await
    }

    fn tell(&self, of: &str, build: u16) {
        self.builds.with_label_values(&[of]).set(build.into());
    }

    async fn wanted(&self, tables: &Tables) -> u16 {
        loop {
            tokio::time::sleep(POLL).await;
            match self.cql.serving(self.layout.generation).await {
                Ok(build) if build != tables.build() => return build,
                Ok(_) => {}
                // Told by the store itself wherever it matters.
                Err(error) => tracing::debug!(%error, "which tables serve could not be asked"),
            }
        }
    }
}
