//! Whose share of the gateway a stream takes: of the streams it may have, of the log that is read for it, and
//! of the questions that it asks.

use std::borrow::Cow;

use access::Principal;

use super::{Subscription, TenantScope};

impl TenantScope {
    /// Whose share a stream of these takes that `principal` opens: its own tenant's, whatever it looks at, so that
    /// nobody uses up another tenant's. One of no tenant takes that of the tenant that it named, or its own.
    pub(crate) fn share<'a>(&'a self, principal: &'a Principal) -> Cow<'a, str> {
        let named = || self.name().filter(|name| !name.is_empty());
        match principal.tenant.as_deref().or_else(named) {
            Some(tenant) => tenant.into(),
            // No tenant has a slash in its name.
            None => format!("/@{}", principal.id).into(),
        }
    }
}

impl Subscription {
    /// Whose share it takes.
    pub(crate) fn share(&self) -> Cow<'_, str> {
        self.selection.tenant.share(&self.principal)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn who_looks_at_several_tenants_takes_the_share_of_its_own() {
        let mut staff = Principal::system("ann");
        staff.tenant = Some("acme".into());
        let several = TenantScope::Some(Arc::new(["acme".into(), "globex".into()].into()));
        for scope in [several.clone(), TenantScope::One("globex".into())] {
            assert_eq!(scope.share(&staff), "acme", "{scope:?}");
        }
        let operator = Principal::system("bob");
        for scope in [several, TenantScope::All, TenantScope::One("".into())] {
            assert_eq!(scope.share(&operator), "/@bob", "{scope:?}");
        }
        assert_eq!(TenantScope::One("acme".into()).share(&operator), "acme");
    }
}
