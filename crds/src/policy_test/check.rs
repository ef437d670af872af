//! What is wrong with a test before it runs: names that do not exist, and expectations that can never hold.

use std::net::IpAddr;

use postern_core::smtp::reply::{EnhancedCode, Reply};

use super::schema::fields_of;
use crate::fault::{Fault, FaultClass};
use crate::kinds::policy_test::{ExpectSpec, FilterWord, GivenFilterSpec, PolicyTestSpec, SessionSpec};
use crate::kinds::{Cardinality, KINDS, SINGLETON_NAME};
use crate::load::{Object, ObjectSet};
use crate::node::Trail;
use crate::suggest::closest;

const SPEC: &Trail<'static> = &Trail::SPEC;

/// Everything that is wrong with one test.
pub(super) fn faults(test: &Object<PolicyTestSpec>, set: &ObjectSet) -> Vec<Fault> {
    let mut check = Check { test, set, faults: Vec::new() };
    check.session(&test.spec.session);
    check.given();
    check.expectations(&test.spec.expect);
    check.faults
}

struct Check<'a> {
    test: &'a Object<PolicyTestSpec>,
    set: &'a ObjectSet,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, at: &Trail<'_>, message: impl Into<String>) {
        self.push(FaultClass::Own, at, message.into(), None);
    }

    fn unknown<'k>(
        &mut self,
        at: &Trail<'_>,
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let suggestion = closest(name, known).map(str::to_owned);
        self.push(FaultClass::Reference, at, format!("there is no {what} `{name}`"), suggestion);
    }

    fn push(&mut self, class: FaultClass, at: &Trail<'_>, message: String, suggestion: Option<String>) {
        let path = at.path();
        if !self.test.source.is_untrusted(&path) {
            let fault = self.test.source.fault(class, Some(self.test.reference()), &path, false);
            self.faults.push(Fault { message, suggestion, ..fault });
        }
    }

    fn session(&mut self, session: &SessionSpec) {
        let at = SPEC.key("session");
        if session.to.is_empty() {
            self.fault(&at.key("to"), "needs at least one recipient");
        }
        if let Some(ip) = session.ip.as_deref().filter(|ip| ip.parse::<IpAddr>().is_err()) {
            self.fault(&at.key("ip"), format!("`{ip}` is no IP address"));
        }
        if session.message.is_some() && session.message_file.is_some() {
            self.fault(&at.key("messageFile"), "does not go with `message`; give one of them");
        }
        let listeners: Vec<&str> = self
            .set
            .listeners
            .iter()
            .map(|object| object.spec.name.as_deref().unwrap_or(&object.name))
            .collect();
        if let Some(name) = session.listener.as_deref().filter(|name| !listeners.contains(name)) {
            self.unknown(&at.key("listener"), "listener", name, listeners);
        }
    }

    fn given(&mut self) {
        let given = SPEC.key("given");
        let filters = given.key("filters");
        for (index, filter) in self.test.spec.given.filters.iter().enumerate() {
            self.filter(&filters.index(index), filter);
        }
        let throttles: Vec<&str> = self.set.throttles.iter().map(|throttle| &*throttle.name).collect();
        let throttled = given.key("throttled");
        for (index, name) in self.test.spec.given.throttled.iter().enumerate() {
            if !throttles.contains(&&**name) {
                self.unknown(&throttled.index(index), "MtaInboundThrottle", name, throttles.iter().copied());
            }
        }
    }

    fn filter(&mut self, at: &Trail<'_>, filter: &GivenFilterSpec) {
        let is_filter = |kind: &str| FILTERS.contains(&kind);
        match filter.filter.split_once('/') {
            Some((kind, name)) if is_filter(kind) => self.object(&at.key("filter"), kind, name),
            _ => self.fault(
                &at.key("filter"),
                format!("expected KIND/NAME, the kind one of {}", FILTERS.join(", ")),
            ),
        }
        let reply = at.key("reply");
        let class = match filter.says {
            FilterWord::Reject => Some('5'),
            FilterWord::Defer => Some('4'),
            _ => None,
        };
        match (&filter.reply, class) {
            (None, Some(_)) => self.fault(&reply, format!("is required with `{:?}`", filter.says)),
            (Some(text), class) => {
                let parsed = Reply::from_text(text);
                let fits = parsed.is_some() && class.is_none_or(|class| text.starts_with(class));
                if !fits {
                    let class = class.map(|class| format!(" of class {class}")).unwrap_or_default();
                    self.fault(&reply, format!("`{}` is no reply{class}", text.escape_debug()));
                } else if matches!(filter.says, FilterWord::Continue | FilterWord::Discard | FilterWord::Fail)
                {
                    self.fault(&reply, format!("does not go with `{:?}`", filter.says));
                }
            }
            (None, None) => {}
        }
        let changes = !filter.add_fields.is_empty() || filter.quarantine.is_some();
        if changes && filter.says != FilterWord::Continue {
            self.fault(&at.key("says"), "a filter changes a message only with `Continue`");
        }
    }

    /// Whether there is that object; a singleton always decides, by its documented defaults where it is absent.
    fn object(&mut self, at: &Trail<'_>, kind: &str, name: &str) {
        let Some(known) = KINDS.iter().find(|known| known.name == kind) else {
            self.unknown(at, "kind", kind, KINDS.iter().map(|known| known.name));
            return;
        };
        let objects = self.set.references();
        let names: Vec<&str> = objects
            .iter()
            .filter(|(object, _)| *object.kind == *kind)
            .map(|(object, _)| &*object.name)
            .collect();
        let is_default = known.cardinality == Cardinality::Singleton && name == SINGLETON_NAME;
        if !names.contains(&name) && !is_default {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            self.unknown(at, kind, name, names.iter().map(String::as_str));
        }
    }

    fn expectations(&mut self, expect: &ExpectSpec) {
        let at = SPEC.key("expect");
        if *expect == ExpectSpec::default() {
            self.fault(&at, "nothing is expected, so the test could not fail");
        }
        if let Some(reply) = &expect.reply {
            self.reply(&at.key("reply"), reply);
        }
        let recipients = at.key("recipients");
        for (recipient, reply) in &expect.recipients {
            self.reply(&recipients.key(recipient), reply);
            if !self.test.spec.session.to.contains(recipient) {
                self.unknown(
                    &recipients.key(recipient),
                    "recipient in `session.to` that is called",
                    recipient,
                    self.test.spec.session.to.iter().map(String::as_str),
                );
            }
        }
        if let Some(by) = &expect.by {
            let by_at = at.key("by");
            match by.object.split_once('/') {
                Some((kind, name)) => {
                    self.object(&by_at.key("object"), kind, name);
                    if let (Some(field), Some(known)) = (&by.field, fields_of(kind)) {
                        let first = field.split(['.', '[']).next().unwrap_or(field);
                        if !known.iter().any(|known| known == first) {
                            let what = format!("field of {kind}");
                            self.unknown(&by_at.key("field"), &what, first, known.iter().map(String::as_str));
                        }
                    }
                }
                None => {
                    self.fault(&by_at.key("object"), "expected KIND/NAME, such as `MtaStageMail/default`")
                }
            }
        }
        self.handed_on(&at, expect);
    }

    /// A beginning of a reply: some digits of a code, or all of them with more.
    fn reply(&mut self, at: &Trail<'_>, text: &str) {
        let (code, rest) = text.split_once([' ', '-']).unwrap_or((text, ""));
        let is_code = (1..=3).contains(&code.len())
            && code.starts_with(['2', '4', '5'])
            && code.bytes().all(|octet| octet.is_ascii_digit())
            && (rest.is_empty() || code.len() == 3);
        if !is_code {
            self.fault(at, format!("no reply begins with `{}`", text.escape_debug()));
            return;
        }
        let enhanced = rest.split(' ').next().and_then(EnhancedCode::parse);
        if let Some(enhanced) = enhanced.filter(|enhanced| !code.starts_with(&enhanced.0.to_string())) {
            let message = format!("this can never hold: {code} and {enhanced} are of different classes");
            self.fault(at, message);
        }
    }

    fn handed_on(&mut self, at: &Trail<'_>, expect: &ExpectSpec) {
        let Some(handed_on) = &expect.handed_on else { return };
        let list = at.key("handedOn");
        let is_refused = expect.reply.as_ref().is_some_and(|reply| reply.starts_with(['4', '5']));
        if is_refused && !handed_on.is_empty() && self.test.spec.session.to.len() == 1 {
            self.fault(&list, "this can never hold: a message that is refused is not handed on");
        }
        let routes: Vec<&str> = self
            .set
            .routes
            .iter()
            .map(|object| object.spec.name.as_deref().unwrap_or(&object.name))
            .collect();
        for (index, one) in handed_on.iter().enumerate() {
            let item = list.index(index);
            if let Some(route) = one.route.as_deref().filter(|route| !routes.contains(route)) {
                self.unknown(&item.key("route"), "MtaRoute", route, routes.iter().copied());
            }
            let both = one
                .no_fields
                .iter()
                .enumerate()
                .find(|(_, name)| one.fields.keys().any(|other| other.eq_ignore_ascii_case(name)));
            if let Some((place, name)) = both {
                let message = format!("this can never hold: `{name}` is in `fields` too");
                self.fault(&item.key("noFields").index(place), message);
            }
        }
    }
}

const FILTERS: [&str; 5] = ["MtaMilter", "MtaSieveScript", "MtaSpamFilter", "MtaPipe", "MtaHook"];
