//! The folder of manifests as the source of the policy.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_core::policy::Policy;
use postern_core::policy::settings::Settings;
use postern_core::policy::table::Table;
use postern_crds::{
    Fault, FaultClass, LoadOptions, ObjectRef, ObjectSet, Origin, REVISION_FILE, compile, read_folder,
};

use crate::geo::{Geo, GeoDatabase, GeoField};
use crate::reload::{Loaded, Source};
use crate::status::ObjectInForce;
use crate::watched_files::WatchedFiles;

/// A folder of manifests, read by the one loader there is.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    options: LoadOptions,
    tables: Arc<WatchedFiles<Table>>,
    databases: Arc<WatchedFiles<GeoDatabase>>,
}

impl Folder {
    /// The folder at `path`; pipes may run the programs in `pipe_dir`.
    #[must_use]
    pub fn new(path: PathBuf, pipe_dir: Option<PathBuf>) -> Self {
        let options = LoadOptions { pipe_dir, base: Some(path.clone()), ..LoadOptions::default() };
        Self { path, options, tables: Arc::default(), databases: Arc::default() }
    }

    /// The same folder, filled by the operator.
    #[must_use]
    pub fn from_cluster(mut self) -> Self {
        self.options.origin = Origin::Cluster;
        self
    }
}

impl Folder {
    /// Reads the files that lookups name; one that cannot be read is a fault of its object.
    fn attach_tables(&self, set: &ObjectSet, policy: &mut Policy) -> Vec<Fault> {
        let mut faults = Vec::new();
        for lookup in &set.lookups {
            let Some(file) = &lookup.spec.file else { continue };
            let namespace = lookup.spec.namespace.as_deref().unwrap_or(&lookup.name);
            match self.tables.read(Path::new(file)) {
                Ok(table) => policy.lookups.namespace(namespace).attach(table),
                Err(error) => faults.push(fault("MtaLookup", &lookup.name, "spec.file", &error)),
            }
        }
        self.tables.keep(&tables_of(set));
        faults
    }

    /// Reads the databases of networks; one that cannot be read is a fault of the settings.
    fn geo(&self, set: &ObjectSet, settings: &Settings) -> (Geo, Vec<Fault>) {
        let mut faults = Vec::new();
        let mut read = |file: Option<&Path>, field: GeoField| match self.database(file?, field) {
            Ok(database) => Some(database),
            Err(problem) => {
                let object = set.settings.first().map(|settings| &settings.name);
                faults.extend(object.map(|name| fault("MtaSettings", name, field.path(), &problem)));
                None
            }
        };
        let geo = Geo {
            systems: read(settings.geo_asn_file.as_deref(), GeoField::System),
            countries: read(settings.geo_country_file.as_deref(), GeoField::Country),
        };
        self.databases.keep(&databases_of(set));
        (geo, faults)
    }

    fn database(&self, file: &Path, field: GeoField) -> Result<Arc<GeoDatabase>, String> {
        let database = self.databases.read(file).map_err(|error| error.to_string())?;
        match database.knows(field) {
            true => Ok(database),
            false => Err(format!("{}: no record has {}", file.display(), field.name())),
        }
    }
}

fn fault(kind: &'static str, name: &Arc<str>, path: &str, message: &dyn ToString) -> Fault {
    Fault {
        class: FaultClass::Own,
        object: Some(ObjectRef { kind: kind.into(), name: Arc::clone(name) }),
        path: path.to_owned(),
        file: None,
        line: None,
        column: None,
        message: message.to_string(),
        position_in_source: None,
        suggestion: None,
    }
}

/// Files beside the manifests whose contents belong to the policy.
fn files_of(set: &ObjectSet) -> Vec<PathBuf> {
    [tables_of(set), databases_of(set)].concat()
}

fn tables_of(set: &ObjectSet) -> Vec<PathBuf> {
    set.lookups.iter().filter_map(|lookup| lookup.spec.file.as_deref()).map(PathBuf::from).collect()
}

fn databases_of(set: &ObjectSet) -> Vec<PathBuf> {
    let geo = set.settings.iter().map(|settings| &settings.spec.geo);
    geo.flat_map(|geo| [&geo.asn_file, &geo.country_file]).flatten().map(PathBuf::from).collect()
}

impl Source for Folder {
    fn folder(&self) -> &Path {
        &self.path
    }

    /// What the operator mounts says of what it consists. Somebody's own folder is there when it is there.
    fn has_arrived(&self) -> bool {
        self.options.origin == Origin::Folder
            || (self.path.join(REVISION_FILE).exists() && read_folder(&self.path).is_ok())
    }

    fn is_sealed(&self) -> bool {
        self.options.origin == Origin::Cluster
    }

    fn load(&self) -> io::Result<Loaded> {
        let (set, faults) = read_folder(&self.path)?;
        let mut outcome = compile(&set, faults, &self.options);
        let in_force = |(object, generation)| ObjectInForce { object, generation };
        let mut faults = outcome.faults;
        let mut geo = Geo::default();
        if let Some(policy) = &mut outcome.policy {
            faults.extend(self.attach_tables(&set, policy));
            let (found, of_geo) = self.geo(&set, &policy.settings);
            faults.extend(of_geo);
            geo = found;
        }
        Ok(Loaded {
            policy: outcome.policy.filter(|_| faults.is_empty()),
            faults,
            warnings: outcome.warnings,
            geo,
            objects: set.references().into_iter().map(in_force).collect(),
            files: files_of(&set),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(manifests: &str) -> (tempfile::TempDir, Folder) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("gate.yaml"), manifests).unwrap();
        let folder = Folder::new(directory.path().to_owned(), None);
        (directory, folder)
    }

    const LISTENER: &str = "apiVersion: mta.postern.dev/v1alpha1\nkind: MtaListener\n\
                            metadata: {name: smtp, generation: 3}\nspec: {bind: ['127.0.0.1:2525']}\n";

    #[test]
    fn objects_in_force_have_their_generation() {
        let (_directory, folder) = folder(LISTENER);
        let loaded = folder.load().unwrap();
        assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
        assert_eq!(loaded.policy.unwrap().listeners.len(), 1);
        let [listener] = &loaded.objects[..] else { panic!("{:?}", loaded.objects) };
        assert_eq!(
            (listener.object.to_string().as_str(), listener.generation),
            ("MtaListener/smtp", Some(3))
        );
    }

    #[test]
    fn a_file_with_a_large_lookup_is_attached_and_watched() {
        let lists = tempfile::tempdir().unwrap();
        let path = lists.path().join("blocked");
        let lookup = format!(
            "apiVersion: mta.postern.dev/v1alpha1\nkind: MtaLookup\nmetadata: {{name: blocked}}\n\
             spec: {{file: '{}'}}\n",
            path.display()
        );
        let (_directory, folder) = folder(&lookup);
        let missing = folder.load().unwrap();
        assert!(missing.policy.is_none());
        assert!(
            missing.faults[0].to_string().starts_with("MtaLookup/blocked spec.file: "),
            "{:?}",
            missing.faults
        );
        fs::write(&path, "a.example seen twice\n").unwrap();
        let loaded = folder.load().unwrap();
        assert_eq!(loaded.files, [path]);
        assert_eq!(
            loaded.policy.unwrap().lookups.get("blocked").unwrap().get("a.example"),
            Some("seen twice")
        );
    }

    #[test]
    fn what_the_operator_fills_is_waited_for_until_it_is_complete() {
        let (directory, own) = folder(LISTENER);
        assert!(own.has_arrived());
        let mounted = own.from_cluster();
        assert!(!mounted.has_arrived());
        let revision = postern_crds::revision_file("abc", [("gate.yaml", LISTENER), ("more.yaml", "")]);
        fs::write(directory.path().join(REVISION_FILE), revision).unwrap();
        assert!(!mounted.has_arrived());
        fs::write(directory.path().join("more.yaml"), "").unwrap();
        assert!(mounted.has_arrived());
    }

    #[test]
    fn in_a_cluster_a_secret_does_not_stand_in_a_manifest() {
        let route = "apiVersion: mta.postern.dev/v1alpha1\nkind: MtaRoute\nmetadata: {name: relay}\n\
                     spec: {type: Relay, address: mx.example.org, tls: {mode: Require}, authUsername: u,\n  \
                     authSecret: {value: pw}}\n";
        let (_directory, own) = folder(route);
        assert!(own.load().unwrap().faults.is_empty());
        assert!(!own.from_cluster().load().unwrap().faults.is_empty());
    }

    #[test]
    fn a_fault_leaves_no_policy() {
        let (_directory, folder) = folder(&LISTENER.replace("bind:", "bnid:"));
        let loaded = folder.load().unwrap();
        assert!(loaded.policy.is_none());
        assert!(!loaded.faults.is_empty());
    }
}
