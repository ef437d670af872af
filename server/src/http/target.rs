//! Where a request goes.

use std::sync::Arc;

use hyper::Uri;

use crate::filter::FilterError;

/// A URL in the parts that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) is_secure: bool,
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    authority: Box<str>,
    path: Box<str>,
}

impl Target {
    /// Reads an `http` or `https` URL.
    ///
    /// # Errors
    /// When it is none, which the loader has not noticed.
    pub(crate) fn parse(url: &str) -> Result<Self, FilterError> {
        let unfit = || FilterError::Failed(format!("{url} is no URL that can be asked"));
        let uri: Uri = url.parse().map_err(|_| unfit())?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(unfit()),
        };
        let authority = uri.authority().ok_or_else(unfit)?;
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host).ok_or_else(unfit)? {
            "" => None,
            rest => Some(rest.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(unfit)?),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            is_secure,
            host: host.trim_start_matches('[').trim_end_matches(']').into(),
            port: port.unwrap_or(if is_secure { 443 } else { 80 }),
            authority: authority.as_str().into(),
            path: if path.starts_with('/') { path.into() } else { format!("/{path}").into() },
        })
    }

    /// The same server, and below its path another one.
    pub(crate) fn join(mut self, path: &str) -> Self {
        self.path = format!("{}/{path}", self.path.trim_end_matches('/')).into();
        self
    }

    /// What the Host field says.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("https://[::1]:8443/a/b?c=d").unwrap();
        assert_eq!((&*target.host, target.port, target.is_secure), ("::1", 8443, true));
        assert_eq!((target.authority(), target.path()), ("[::1]:8443", "/a/b?c=d"));
        let target = Target::parse("http://hooks.mail.svc").unwrap();
        assert_eq!((&*target.host, target.port, target.path()), ("hooks.mail.svc", 80, "/"));
        assert_eq!(target.join("checkv2").path(), "/checkv2");
        assert_eq!(
            Target::parse("http://a.example/rspamd/").unwrap().join("checkv2").path(),
            "/rspamd/checkv2"
        );
        assert_eq!(Target::parse("http://a.example?b").unwrap().path(), "/?b");
    }

    #[test]
    fn what_cannot_be_asked_is_an_error() {
        for url in [
            "",
            "a.example",
            "ftp://a.example/",
            "http:///x",
            "http://a b/",
            "http://a.example:99999/",
            "http://u@a.example/",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
