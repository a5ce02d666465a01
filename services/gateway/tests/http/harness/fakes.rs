//! A state that does not answer.

use async_trait::async_trait;

/// A store that does not answer.
pub(super) struct Stuck;

#[async_trait]
impl state::Progress for Stuck {
    async fn applied(&self, _: journal::Partition) -> Result<Option<state::Applied>, state::StoreError> {
        std::future::pending().await
    }

    async fn set_applied(&self, _: journal::Partition, _: &state::Applied) -> Result<(), state::StoreError> {
        std::future::pending().await
    }

    async fn rules_applied(&self, _: journal::Partition) -> Result<journal::Offset, state::StoreError> {
        std::future::pending().await
    }

    async fn set_rules_applied(
        &self,
        _: journal::Partition,
        _: journal::Offset,
    ) -> Result<(), state::StoreError> {
        std::future::pending().await
    }
}
