//! The certificate that the operator makes for itself.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A certificate with its key, and the authority that vouches for it; all PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// The authority.
    pub(super) authority: String,
    /// The certificate of the webhook.
    pub(super) certificate: String,
    /// Its key.
    pub(super) key: String,
}

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthorityError {
    /// The library refused.
    #[error("the certificate could not be made: {0}")]
    Rcgen(#[from] rcgen::Error),
    /// The clock is at the end of time.
    #[error("the time is out of range: {0}")]
    Time(#[from] jiff::Error),
}

/// Makes an authority and a certificate for these host names. The authority's key is forgotten at once, so it
/// vouches for nothing else, ever.
pub(super) fn make(hosts: &[String], now: Timestamp) -> Result<Credentials, AuthorityError> {
    let today = now.to_zoned(TimeZone::UTC).date();
    // A day of grace for clocks that are behind.
    let (begin, end) =
        (today.checked_sub(Span::new().days(1))?, today.checked_add(Span::new().days(VALID_DAYS))?);
    let authority_key = KeyPair::generate()?;
    let mut authority = params(Vec::new(), "postern-webhook-authority", begin, end)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    let mut server = params(hosts.to_vec(), "postern-webhook", begin, end)?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let authority_certificate = authority.self_signed(&authority_key)?;
    let certificate = server.signed_by(&key, &Issuer::from_params(&authority, &authority_key))?;
    Ok(Credentials {
        authority: authority_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

fn params(hosts: Vec<String>, name: &str, begin: Date, end: Date) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before =
        date_time_ymd(begin.year().into(), begin.month().unsigned_abs(), begin.day().unsigned_abs());
    params.not_after = date_time_ymd(end.year().into(), end.month().unsigned_abs(), end.day().unsigned_abs());
    Ok(params)
}

/// Whether a certificate in PEM is good for a while, which is a third of its life.
pub(super) fn is_fresh(pem: &str, now: Timestamp) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(&der) else { return false };
    let left = certificate.validity().not_after.timestamp().saturating_sub(now.as_second());
    left > i64::from(VALID_DAYS) * SECONDS_OF_DAY / 3
}

/// A year; renewed when a third of it is left.
const VALID_DAYS: i32 = 365;
const SECONDS_OF_DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn day_of(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * SECONDS_OF_DAY).unwrap()
    }

    #[test]
    fn it_is_renewed_when_a_third_of_its_life_is_left() {
        let made = make(&["gate-webhook.mail.svc".to_owned()], day_of(0)).unwrap();
        assert!(is_fresh(&made.certificate, day_of(0)));
        assert!(is_fresh(&made.certificate, day_of(242)));
        assert!(!is_fresh(&made.certificate, day_of(245)));
        assert!(!is_fresh(&made.certificate, day_of(400)));
        assert!(!is_fresh("nonsense", day_of(0)));
    }

    #[test]
    fn no_two_are_alike() {
        let hosts = ["gate-webhook.mail.svc".to_owned()];
        let (one, two) = (make(&hosts, day_of(0)).unwrap(), make(&hosts, day_of(0)).unwrap());
        assert_ne!(one.authority, two.authority);
        assert_ne!(one.key, two.key);
    }
}
