//! Databases that know networks: MaxMind's format, which other publishers use too.

use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};
use postern_core::session::network::{Country, Network};
use serde::Deserialize;

use crate::watched_files::Content;

/// The databases of one policy.
#[derive(Debug, Clone, Default)]
pub struct Geo {
    /// Who runs a network.
    pub systems: Option<Arc<GeoDatabase>>,
    /// Where it is.
    pub countries: Option<Arc<GeoDatabase>>,
}

/// One file, held in memory.
#[derive(Debug)]
pub struct GeoDatabase {
    reader: Reader<Vec<u8>>,
}

/// What is looked for in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeoField {
    /// The number of an autonomous system.
    System,
    /// The code of a country.
    Country,
}

/// The part of a record that says who runs a network.
#[derive(Deserialize)]
struct System<'a> {
    #[serde(rename = "autonomous_system_number", default)]
    number: u32,
    #[serde(rename = "autonomous_system_organization", borrow, default)]
    name: &'a str,
}

impl Geo {
    /// What is known of the network of an address. A record that cannot be read is one that is not there.
    #[must_use]
    pub fn network(&self, address: IpAddr) -> Network {
        let address = address.to_canonical();
        let system = self.systems.as_deref().and_then(|database| database.system(address));
        let country = self.countries.as_deref().and_then(|database| database.country(address));
        Network {
            number: system.as_ref().map_or(0, |system| system.number),
            name: system.map_or("", |system| system.name).into(),
            country: country.map(Country::of).unwrap_or_default(),
        }
    }
}

impl GeoDatabase {
    /// Whether one of its first records has a field, so that a database of something else is found out at once.
    #[must_use]
    pub fn knows(&self, field: GeoField) -> bool {
        let Ok(networks) = self.reader.networks(WithinOptions::default()) else { return false };
        let records = networks.take(RECORDS_LOOKED_AT).filter_map(Result::ok);
        let has = |record: maxminddb::LookupResult<'_, _>| match field {
            GeoField::System => matches!(record.decode_path::<u32>(&SYSTEM), Ok(Some(_))),
            GeoField::Country => matches!(record.decode_path::<&str>(&COUNTRY), Ok(Some(_))),
        };
        records.into_iter().any(has)
    }

    fn system(&self, address: IpAddr) -> Option<System<'_>> {
        self.reader.lookup(address).ok()?.decode().ok()?
    }

    fn country(&self, address: IpAddr) -> Option<&str> {
        self.reader.lookup(address).ok()?.decode_path(&COUNTRY).ok()?
    }
}

impl Content for GeoDatabase {
    type Error = MaxMindDbError;

    fn of(octets: Vec<u8>) -> Result<Self, MaxMindDbError> {
        Reader::from_source(octets).map(|reader| Self { reader })
    }
}

impl GeoField {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "autonomous_system_number",
            Self::Country => "country.iso_code",
        }
    }

    /// The field of `MtaSettings` that names its file.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::System => "spec.geo.asnFile",
            Self::Country => "spec.geo.countryFile",
        }
    }
}

const SYSTEM: [PathElement<'static>; 1] = [PathElement::Key("autonomous_system_number")];
const COUNTRY: [PathElement<'static>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];

/// Some networks have no country, such as those of satellites; not a thousand in a row.
const RECORDS_LOOKED_AT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn geo() -> Geo {
        let database = |octets: &[u8]| Some(Arc::new(GeoDatabase::of(octets.to_vec()).unwrap()));
        Geo { systems: database(SYSTEMS), countries: database(COUNTRIES) }
    }

    fn network(address: &str) -> (u32, String, String) {
        let network = geo().network(address.parse().unwrap());
        (network.number, network.name.into(), network.country.code().to_owned())
    }

    const SYSTEMS: &[u8] = include_bytes!("../tests/geo/asn.mmdb");
    const COUNTRIES: &[u8] = include_bytes!("../tests/geo/country.mmdb");

    #[test]
    fn addresses_of_both_families_are_found() {
        let found = (64496, "Example Net".to_owned(), "DE".to_owned());
        assert_eq!(network("192.0.2.1"), found);
        assert_eq!(network("::ffff:192.0.2.1"), found);
        assert_eq!(network("2001:db8::25"), (64497, "Example Six".to_owned(), "JP".to_owned()));
        assert_eq!(network("198.51.100.127").0, 4_200_000_000);
    }

    #[test]
    fn what_no_database_knows_is_unknown() {
        assert_eq!(network("198.51.100.128"), (0, String::new(), String::new()));
        assert_eq!(network("203.0.113.9"), (0, String::new(), "JP".to_owned()));
        assert_eq!(Geo::default().network("192.0.2.1".parse().unwrap()), Network::default());
    }

    #[test]
    fn databases_of_something_else_are_found_out() {
        let knows = |octets: &[u8], field| GeoDatabase::of(octets.to_vec()).unwrap().knows(field);
        assert!(knows(SYSTEMS, GeoField::System) && knows(COUNTRIES, GeoField::Country));
        assert!(!knows(SYSTEMS, GeoField::Country) && !knows(COUNTRIES, GeoField::System));
    }

    #[test]
    fn a_damaged_file_is_refused_or_knows_less_and_never_panics() {
        assert!(GeoDatabase::of(Vec::new()).is_err());
        assert!(GeoDatabase::of(SYSTEMS[..SYSTEMS.len() / 2].to_vec()).is_err());
        for at in 0..SYSTEMS.len() {
            let mut octets = SYSTEMS.to_vec();
            octets[at] ^= 0xFF;
            let Ok(database) = GeoDatabase::of(octets) else { continue };
            let _ = database.knows(GeoField::System);
            let geo = Geo { systems: Some(Arc::new(database)), countries: None };
            let _ = geo.network("192.0.2.1".parse().unwrap());
        }
    }
}
