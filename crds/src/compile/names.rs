//! What objects may name: scripts, routes, directories, Secrets, ConfigMaps.

use std::collections::HashMap;
use std::sync::Arc;

use postern_core::expr::{FieldPath, Setting, Text};
use postern_core::policy::Secret;
use postern_core::policy::listener::CertificatePem;
use postern_core::policy::route::ClientTls;

use super::Origin;
use super::context::Context;
use crate::load::{ConfigMap, ObjectSet, SecretObject, SecretValue};
use crate::node::Trail;
use crate::suggest::closest;
use crate::value::{AuthoritySecretRef, ClientTlsSpec, ConfigMapKeyRef, SecretSource};

/// Everything in the set that has a name.
pub(super) struct Names<'a> {
    secrets: HashMap<&'a str, &'a SecretObject>,
    config_maps: HashMap<&'a str, &'a ConfigMap>,
    scripts: Vec<&'a str>,
    /// Names of the objects that active scripts come from, by lower-cased name of the script.
    script_objects: HashMap<String, &'a str>,
    pub(super) routes: Vec<&'a str>,
    /// Names of the objects that routes come from, by name of the route.
    route_objects: HashMap<&'a str, &'a str>,
    pub(super) directories: Vec<&'a str>,
    /// Names of MtaDomain objects, and the domains they are about.
    pub(super) domains: HashMap<&'a str, &'a str>,
}

impl<'a> Names<'a> {
    pub(super) fn of(set: &'a ObjectSet) -> Self {
        let scripts: Vec<(&str, &str)> = set
            .scripts
            .iter()
            .filter(|script| script.spec.is_active)
            .map(|script| (script.spec.name.as_deref().unwrap_or(&script.name), &*script.name))
            .collect();
        let routes: Vec<(&str, &str)> = set
            .routes
            .iter()
            .map(|route| (route.spec.name.as_deref().unwrap_or(&route.name), &*route.name))
            .collect();
        Self {
            secrets: set.secrets.iter().map(|secret| (&*secret.name, secret)).collect(),
            config_maps: set.config_maps.iter().map(|map| (&*map.name, map)).collect(),
            script_objects: scripts.iter().map(|(name, object)| (name.to_lowercase(), *object)).collect(),
            scripts: scripts.into_iter().map(|(name, _)| name).collect(),
            routes: routes.iter().map(|(name, _)| *name).collect(),
            route_objects: routes.into_iter().collect(),
            directories: set.directories.iter().map(|directory| &*directory.name).collect(),
            domains: set
                .domains
                .iter()
                .map(|domain| (&*domain.name, domain.spec.name.as_deref().unwrap_or(&domain.name)))
                .collect(),
        }
    }
}

impl Context<'_> {
    /// Checks the names of scripts that a field can yield, as far as they are known at load.
    pub(super) fn check_scripts(&mut self, at: &Trail<'_>, setting: &Setting<Option<Text>>) {
        let names = self.names;
        self.check_literals(at, setting, "MtaSieveScript", &names.scripts, |name| {
            names.script_objects.get(&name.to_lowercase()).copied()
        });
    }

    /// Checks the names of routes that a field can yield, as far as they are known at load.
    pub(super) fn check_routes(&mut self, at: &Trail<'_>, setting: &Setting<Option<Text>>) {
        let names = self.names;
        let object_of = |name: &str| names.route_objects.get(name).copied();
        self.check_literals(at, setting, "MtaRoute", &names.routes, object_of);
    }

    fn check_literals<'a>(
        &mut self,
        at: &Trail<'_>,
        setting: &Setting<Option<Text>>,
        kind: &str,
        known: &[&str],
        object_of: impl Fn(&str) -> Option<&'a str>,
    ) {
        let mut named: Vec<(FieldPath, Text)> = Vec::new();
        for (part, literal) in setting.literals() {
            if let Some(name) = literal.as_ref().filter(|name| !name.is_empty()) {
                named.push((part, Arc::clone(name)));
            }
        }
        let what = if kind == "MtaSieveScript" { "active MtaSieveScript" } else { kind };
        for (part, name) in named {
            if let Some(object) = object_of(&name) {
                self.uses(kind, object, None);
                continue;
            }
            let path = self.part(at, part);
            let suggestion = closest(&name, known.iter().copied()).map(str::to_owned);
            self.missing(&path, format!("there is no {what} `{name}`"), suggestion);
        }
    }

    /// A route that is named outside expressions.
    pub(super) fn route_name(&mut self, at: &Trail<'_>, name: &str) -> Arc<str> {
        let names = self.names;
        match names.route_objects.get(name) {
            Some(object) => self.uses("MtaRoute", object, None),
            None => self.dangling(at, "MtaRoute", name, names.routes.iter().copied()),
        }
        name.into()
    }

    /// A directory.
    pub(super) fn directory_name(&mut self, at: &Trail<'_>, name: &str) -> Arc<str> {
        let names = self.names;
        if names.directories.contains(&name) {
            self.uses("MtaDirectory", name, None);
        } else {
            self.dangling(at, "MtaDirectory", name, names.directories.iter().copied());
        }
        name.into()
    }

    /// A secret, wherever it stands.
    pub(super) fn secret(&mut self, at: &Trail<'_>, source: &SecretSource) -> Option<Secret> {
        match (&source.secret_key_ref, &source.value, &source.env, &source.file) {
            (Some(key), None, None, None) => self.secret_key(&at.key("secretKeyRef"), &key.name, &key.key),
            (None, Some(value), None, None) => {
                self.refuse_outside_folder(&at.key("value"))?;
                Some(Secret::new(value.as_str()))
            }
            (None, None, Some(variable), None) => self.secret_from_environment(&at.key("env"), variable),
            (None, None, None, Some(path)) => self.secret_from_file(&at.key("file"), path),
            _ => {
                self.fault(at, "needs exactly one of secretKeyRef, value, env and file");
                None
            }
        }
    }

    /// What is only for a folder on a laptop.
    fn refuse_outside_folder(&mut self, at: &Trail<'_>) -> Option<()> {
        if self.options.origin == Origin::Folder {
            return Some(());
        }
        self.fault(at, "is for a folder on a laptop; in a cluster a secret is given by secretKeyRef");
        None
    }

    fn secret_from_environment(&mut self, at: &Trail<'_>, variable: &str) -> Option<Secret> {
        self.refuse_outside_folder(at)?;
        match std::env::var(variable) {
            Ok(value) => Some(Secret::new(value)),
            Err(error) => {
                let message = match error {
                    std::env::VarError::NotPresent => format!("the environment has no `{variable}`"),
                    std::env::VarError::NotUnicode(_) => format!("the value of `{variable}` is not UTF-8"),
                };
                self.missing(&at.path(), message, None);
                None
            }
        }
    }

    fn secret_from_file(&mut self, at: &Trail<'_>, path: &str) -> Option<Secret> {
        self.refuse_outside_folder(at)?;
        let full = self.options.base.as_deref().map_or_else(|| path.into(), |base| base.join(path));
        match std::fs::read_to_string(full) {
            Ok(text) => {
                let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.trim_end_matches('\r'));
                Some(Secret::new(text))
            }
            Err(error) => {
                self.missing(&at.path(), format!("cannot be read: {error}"), None);
                None
            }
        }
    }

    /// A key of a Secret object.
    pub(super) fn secret_key(&mut self, at: &Trail<'_>, name: &str, key: &str) -> Option<Secret> {
        let names = self.names;
        self.uses("Secret", name, Some(key));
        let Some(object) = names.secrets.get(name) else {
            self.dangling(&at.key("name"), "Secret", name, names.secrets.keys().copied());
            return None;
        };
        match object.get(key) {
            SecretValue::Text(secret) => Some(secret.clone()),
            SecretValue::NotText => {
                self.fault(&at.key("key"), format!("the value of `{key}` in Secret `{name}` is not UTF-8"));
                None
            }
            SecretValue::Missing => {
                let suggestion = closest(key, object.keys()).map(str::to_owned);
                self.missing(
                    &at.key("key").path(),
                    format!("there is no key `{key}` in Secret `{name}`"),
                    suggestion,
                );
                None
            }
        }
    }

    /// A key of a ConfigMap.
    pub(super) fn config_map_key(&mut self, at: &Trail<'_>, reference: &ConfigMapKeyRef) -> Option<Arc<str>> {
        let names = self.names;
        self.uses("ConfigMap", &reference.name, Some(&reference.key));
        let Some(map) = names.config_maps.get(reference.name.as_str()) else {
            self.dangling(&at.key("name"), "ConfigMap", &reference.name, names.config_maps.keys().copied());
            return None;
        };
        let found = map.data.get(&reference.key).cloned();
        if found.is_none() {
            let message = format!("there is no key `{}` in ConfigMap `{}`", reference.key, reference.name);
            let suggestion = closest(&reference.key, map.data.keys().map(String::as_str)).map(str::to_owned);
            self.missing(&at.key("key").path(), message, suggestion);
        }
        found
    }

    /// A certificate with its key, from a Secret of type kubernetes.io/tls.
    pub(super) fn certificate(&mut self, at: &Trail<'_>, name: &str) -> Option<CertificatePem> {
        let names = self.names;
        for key in ["tls.crt", "tls.key"] {
            self.uses("Secret", name, Some(key));
        }
        let Some(object) = names.secrets.get(name) else {
            self.dangling(at, "Secret", name, names.secrets.keys().copied());
            return None;
        };
        let chain = self.pem(at, object, "tls.crt", "CERTIFICATE");
        let key = self.pem(at, object, "tls.key", "PRIVATE KEY");
        Some(CertificatePem { source: name.into(), chain: chain?.expose().into(), key: key? })
    }

    /// A key of a Secret that must hold a block of PEM. Whether it parses is seen where it is used.
    fn pem(&mut self, at: &Trail<'_>, object: &SecretObject, key: &str, label: &str) -> Option<Secret> {
        let what = format!("Secret `{}`", object.name);
        match object.get(key) {
            SecretValue::Text(secret) if has_pem(secret.expose(), label) => Some(secret.clone()),
            SecretValue::Text(_) | SecretValue::NotText => {
                self.fault(at, format!("`{key}` of {what} holds no PEM block of a {}", label.to_lowercase()));
                None
            }
            SecretValue::Missing => {
                self.missing(&at.path(), format!("{what} has no `{key}`"), None);
                None
            }
        }
    }

    /// TLS towards something that Postern connects to.
    pub(super) fn client_tls(&mut self, at: &Trail<'_>, spec: Option<&ClientTlsSpec>) -> ClientTls {
        let Some(spec) = spec else { return ClientTls::default() };
        self.client_tls_fields(
            at,
            spec.ca_secret_ref.as_ref(),
            spec.client_secret_name.as_deref(),
            spec.server_name.as_deref(),
            spec.allow_invalid_certs,
        )
    }

    /// The fields that routes share with the other clients of TLS.
    pub(super) fn client_tls_fields(
        &mut self,
        at: &Trail<'_>,
        authority: Option<&AuthoritySecretRef>,
        client_secret: Option<&str>,
        server_name: Option<&str>,
        allow_invalid_certs: bool,
    ) -> ClientTls {
        let ca = authority.and_then(|reference| {
            let at = at.key("caSecretRef");
            let secret = self.secret_key(&at, &reference.name, &reference.key)?;
            if has_pem(secret.expose(), "CERTIFICATE") {
                return Some(Arc::from(secret.expose()));
            }
            let message =
                format!("`{}` of Secret `{}` holds no PEM certificate", reference.key, reference.name);
            self.fault(&at, message);
            None
        });
        let client_certificate =
            client_secret.and_then(|name| self.certificate(&at.key("clientSecretName"), name));
        if let Some(name) = server_name {
            self.check_host(&at.key("serverName"), name);
        }
        ClientTls { ca, client_certificate, server_name: server_name.map(Arc::from), allow_invalid_certs }
    }
}

/// Whether a text holds a PEM block with that label, such as `PRIVATE KEY` in `EC PRIVATE KEY`.
fn has_pem(text: &str, label: &str) -> bool {
    let begins = text.lines().any(|line| {
        line.trim().strip_prefix("-----BEGIN ").is_some_and(|rest| rest.ends_with(&format!("{label}-----")))
    });
    let ends = text.lines().any(|line| {
        line.trim().strip_prefix("-----END ").is_some_and(|rest| rest.ends_with(&format!("{label}-----")))
    });
    begins && ends
}
