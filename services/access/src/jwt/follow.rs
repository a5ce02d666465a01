//! Keeps the keys those of the issuer: read at the start, every so often, and when a token names a key
//! that is not known. Whatever goes wrong, the keys that there are stay; what the issuer takes back goes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::{KeyError, KeySet, Keys};

/// Why keys could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FetchError {
    /// For operators; without secrets.
    pub reason: String,
}

/// Where keys come from: a file or a URL. The one port of this crate that goes outside.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// What it holds at present. Limited in size and time by the implementation.
    ///
    /// # Errors
    /// When it could not be had.
    async fn fetch(&self) -> Result<Bytes, FetchError>;

    /// What it is called in logs.
    fn name(&self) -> &str;
}

/// What became of attempts to read keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Fetches {
    /// Attempts that have ended.
    count: u64,
    /// No attempt is made now, whoever asks.
    resting: bool,
    /// The last one brought no word of the issuer.
    pub(super) failed: bool,
    /// What is wrong, since the last one, if anything is.
    pub(super) trouble: Option<Arc<str>>,
}

impl Keys {
    /// Reads keys from `source` until `cancel`, and says so when one is taken back. To run once.
    pub async fn follow(
        &self,
        source: &dyn KeySource,
        taken_back: &(dyn Fn() + Send + Sync),
        cancel: CancellationToken,
    ) {
        let work = async {
            let mut good = self.refresh(source, taken_back).await;
            loop {
                if good {
                    let asked = self.asked_within_the_period().await;
                    good = self.refresh(source, taken_back).await;
                    if good && !asked {
                        continue;
                    }
                }
                // Asked for, or failed: not again at once, whoever asks.
                self.fetches.send_modify(|fetches| fetches.resting = true);
                tokio::time::sleep(self.settings.refresh_rest).await;
                self.fetches.send_modify(|fetches| fetches.resting = false);
                if !good {
                    good = self.refresh(source, taken_back).await;
                }
            }
        };
        cancel.run_until_cancelled(work).await;
    }

    /// Waits until the period is over, or somebody asks before.
    async fn asked_within_the_period(&self) -> bool {
        tokio::time::timeout(self.settings.refresh_every, self.wanted.notified())
            .await
            .is_ok()
    }

    /// Whether keys were read since this was called: asks for it, where it was not done a moment ago, and
    /// waits for the outcome a little.
    pub(crate) async fn newer(&self) -> bool {
        let mut fetches = self.fetches.subscribe();
        let before = {
            let fetches = fetches.borrow_and_update();
            if fetches.resting {
                return false;
            }
            fetches.count
        };
        self.wanted.notify_one();
        let read = fetches.wait_for(|fetches| fetches.count > before);
        matches!(
            tokio::time::timeout(self.settings.refresh_wait, read).await,
            Ok(Ok(_))
        )
    }

    async fn refresh(&self, source: &dyn KeySource, taken_back: &(dyn Fn() + Send + Sync)) -> bool {
        let settings = &self.settings;
        let read = |bytes: Bytes| KeySet::read(settings.form, settings.algorithm, &bytes, settings.keys_max);
        let had = self.set.load_full();
        let outcome = match source.fetch().await.map(read) {
            Ok(Ok(set)) => Ok((set, None)),
            // The issuer's own word, where it had keys before: it took them back.
            Ok(Err(error @ KeyError::NoKey { .. })) if had.is_some() => {
                Ok((KeySet::empty(), Some(error.to_string())))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.reason),
        };
        let failed = outcome.is_err();
        let trouble = match outcome {
            Ok((set, trouble)) => {
                tracing::debug!(source = source.name(), keys = ?set, "keys of JWTs read");
                let lost = had.is_some_and(|had| !set.has_all_of(&had));
                self.set.store(Some(Arc::new(set)));
                if lost {
                    tracing::info!(source = source.name(), "a key of JWTs was taken back");
                    taken_back();
                }
                trouble
            }
            Err(reason) => Some(reason),
        };
        if let Some(reason) = &trouble {
            tracing::warn!(source = source.name(), reason, "no keys of JWTs could be read");
        }
        let good = trouble.is_none();
        self.fetches.send_modify(|fetches| {
            fetches.count += 1;
            fetches.failed = failed;
            fetches.trouble = trouble.map(Arc::from);
        });
        good
    }
}
