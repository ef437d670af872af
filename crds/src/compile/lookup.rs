//! `MtaLookup`.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use postern_core::policy::{Lookups, table};

use super::context::{Compiler, Context};
use crate::kinds::lookup::{LookupEntry, LookupSpec};
use crate::node::Trail;

const SPEC: &Trail<'static> = &Trail::SPEC;

impl Compiler<'_> {
    pub(super) fn lookups(&mut self) -> Lookups {
        let mut lookups = Lookups::default();
        for object in &self.set.lookups {
            let namespace = object.spec.namespace.as_deref().unwrap_or(&object.name);
            lookups.namespace(namespace);
            self.at(object).lookup(&object.spec, namespace, &mut lookups);
        }
        lookups
    }
}

impl Context<'_> {
    fn lookup(&mut self, spec: &LookupSpec, namespace: &str, lookups: &mut Lookups) {
        match (&spec.entries, &spec.config_map_key_ref, &spec.file) {
            (Some(entries), None, None) => self.entries(entries, namespace, lookups),
            (None, Some(reference), None) => {
                if let Some(text) = self.config_map_key(&SPEC.key("configMapKeyRef"), reference) {
                    for (key, value) in text.lines().filter_map(table::entry) {
                        lookups.insert(namespace, key, value.into());
                    }
                }
            }
            (None, None, Some(file)) => lookups.insert_file(namespace, PathBuf::from(file)),
            _ => self.fault(SPEC, "needs exactly one of entries, configMapKeyRef and file"),
        }
    }

    fn entries(&mut self, entries: &[LookupEntry], namespace: &str, lookups: &mut Lookups) {
        let at = SPEC.key("entries");
        let mut seen = HashSet::new();
        for (index, entry) in entries.iter().enumerate() {
            if entry.key.is_empty() {
                self.fault(&at.index(index).key("key"), "is empty");
            }
            if !seen.insert(entry.key.as_str()) {
                self.fault(&at.index(index).key("key"), "is there already");
            }
            let value: Arc<str> = entry.value.as_str().into();
            if entry.is_glob_pattern {
                lookups.insert_glob(namespace, &entry.key, value);
            } else {
                lookups.insert(namespace, &entry.key, value);
            }
        }
    }
}
