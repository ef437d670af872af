//! Errors of the API server in the words that a person needs.

use std::error::Error;
use std::fmt;

/// Shows an error of the API without what only helps to debug the client.
pub(crate) struct Said<'a>(pub(crate) &'a kube::Error);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let kube::Error::Api(status) = self.0 {
            return write!(f, "{} ({})", status.message, status.code);
        }
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_server() {
        let status = Status { message: "no such route".to_owned(), code: 404, ..Status::default() };
        assert_eq!(Said(&kube::Error::Api(Box::new(status))).to_string(), "no such route (404)");
    }
}
