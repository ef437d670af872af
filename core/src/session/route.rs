//! Which route a recipient takes.

use std::sync::Arc;

use super::Session;
use super::facts::{Outbound, View};
use super::question::{Halt, Inquiry};
use super::replies;
use super::state::Transaction;
use crate::expr::Setting;
use crate::policy::directory::Domain;
use crate::policy::route::{MixedRoutes, Route};
use crate::smtp::address::Address;

impl Session {
    /// The route by `MtaOutboundStrategy`, else the domain's, else the default one.
    ///
    /// `whole` is what is known of the message when all of it is here.
    pub(super) fn route_of(
        &self,
        recipient: &Address,
        whole: Option<Outbound>,
        inquiry: &Inquiry<'_>,
    ) -> Result<Arc<Route>, Halt> {
        let policy = &self.policy;
        let announced = self.transaction().and_then(|transaction| transaction.envelope.parameters.size);
        let outbound = whole.unwrap_or(Outbound { size: announced.unwrap_or(0), dmarc_pass: false });
        let view = View::new(self, inquiry).with_recipient(recipient).with_outbound(outbound);
        let chosen = match &policy.outbound.route {
            Some(setting) => view.guarded(setting)?,
            None => None,
        };
        let domain = policy.domains.get(recipient.key_domain()).map(|domain| &**domain);
        let (route, by) = match (chosen, domain) {
            (Some(name), _) => {
                (policy.routes.get(&name), policy.outbound.route.as_ref().and_then(Setting::origin))
            }
            (None, Some(Domain { route: Some(name), .. })) => (policy.routes.get(name), None),
            (None, _) => (policy.routes.default_route(), None),
        };
        // No route of that name, or none at all: nobody would take the message.
        route.cloned().ok_or_else(|| Halt::Unable(by.cloned()))
    }

    /// With `mixedRoutes: Defer` all recipients of a transaction take the same route.
    pub(super) fn check_same_route(
        &self,
        transaction: &Transaction,
        route: &Arc<Route>,
        inquiry: &Inquiry<'_>,
    ) -> Result<(), Halt> {
        if self.policy.outbound.mixed_routes == MixedRoutes::Fanout {
            return Ok(());
        }
        let Some(first) = transaction.envelope.recipients.first() else { return Ok(()) };
        match self.route_of(&first.address, None, inquiry)?.name == route.name {
            true => Ok(()),
            false => Err(replies::ANOTHER_ROUTE.into()),
        }
    }
}
