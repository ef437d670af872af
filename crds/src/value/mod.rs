//! Types that fields of several kinds share.

mod expr;
mod network;
mod secret;
mod set;
mod span;
mod status;
mod tls;

pub(crate) use expr::EXPR_MARKER;
pub use expr::{Case, Expr, Leaf};
pub use network::HopAddressSpec;
pub use secret::{ConfigMapKeyRef, SecretKeyRef, SecretSource};
pub use set::SetOf;
pub use span::TimeSpan;
pub use status::{Condition, ObjectStatus, SettingsStatus};
pub use tls::{AuthoritySecretRef, ClientTlsSpec};
