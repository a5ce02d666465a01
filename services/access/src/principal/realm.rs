//! What the claims of a JWT say of its bearer: roles of an identity provider's realm, and the tenant.

use schemas::control::Role;

/// A role under `realm_access.roles` of a JWT; others say nothing to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RealmRole {
    /// Reads its tenant.
    Customer,
    /// Administers its tenant.
    TenantAdmin,
    /// Reads its tenant and sends commands there.
    Operator,
    /// Administers its tenant.
    OperatorAdmin,
}

impl RealmRole {
    /// Every role.
    pub const ALL: [Self; 4] = [
        Self::Customer,
        Self::TenantAdmin,
        Self::Operator,
        Self::OperatorAdmin,
    ];

    /// The word in the claim.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::TenantAdmin => "tenant-admin",
            Self::Operator => "operator",
            Self::OperatorAdmin => "operator-admin",
        }
    }
}

/// A set of [`RealmRole`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RealmRoles(u8);

impl RealmRoles {
    /// Those of these words; unknown ones are left out.
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let known = |word: &str| RealmRole::ALL.into_iter().find(|role| role.word() == word);
        words.into_iter().filter_map(known).fold(Self(0), Self::with)
    }

    /// With `role` added.
    #[must_use]
    pub const fn with(self, role: RealmRole) -> Self {
        Self(self.0 | 1 << role as u8)
    }

    /// Whether `role` is one of them.
    #[must_use]
    pub const fn contains(self, role: RealmRole) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one of them is an operator's, with or without a tenant.
    #[must_use]
    pub const fn operates(self) -> bool {
        self.contains(RealmRole::Operator) || self.contains(RealmRole::OperatorAdmin)
    }

    /// What they are among native roles. Operators are no exception from the tenants' walls.
    #[must_use]
    pub const fn native(self) -> Role {
        if self.contains(RealmRole::TenantAdmin) || self.contains(RealmRole::OperatorAdmin) {
            Role::Admin
        } else {
            Role::User
        }
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b1111)
    }
}

/// Whether the claims of a JWT name a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tenancy {
    /// They do: [`crate::Principal::tenant`].
    Known,
    /// They name none, or nothing that could be one.
    Missing,
    /// They name several, and no `tenant_id` that says which.
    Ambiguous,
}

/// What the claims of a JWT say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Realm {
    /// Its roles.
    pub roles: RealmRoles,
    /// Whether it has a tenant.
    pub tenancy: Tenancy,
    /// Tells the key that proved them: what it proved holds as long as the issuer has it.
    pub key: [u8; 8],
}
