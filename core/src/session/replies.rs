//! The replies of the session that do not depend on anything, and the field of the policy that decides each.

use crate::cause::Cause;
use crate::smtp::reply::{EnhancedCode, Reply};

macro_rules! replies {
    ($($name:ident = $code:literal $enhanced:tt $text:literal $(by $kind:literal $field:literal)?;)*) => {
        $(pub(super) const $name: Reply = replies!(@one $code $enhanced $text $($kind $field)?);)*

        /// All of them.
        #[cfg(test)]
        const ALL: &[Reply] = &[$($name),*];

        /// Kind and field of every decision that one field of a singleton takes: what traces and logs can name.
        pub const DECIDING_FIELDS: &[(&str, &str)] = &[$($(($kind, $field),)?)*];
    };
    (@one $code:literal ($class:literal, $subject:literal, $detail:literal) $text:literal) => {
        Reply::new($code, EnhancedCode($class, $subject, $detail), $text)
    };
    (@one $code:literal ($class:literal, $subject:literal, $detail:literal) $text:literal $kind:literal $field:literal) => {
        Reply::of_field($code, EnhancedCode($class, $subject, $detail), $text, Cause::field_of($kind, $field))
    };
}

replies! {
    OK = 250 (2, 0, 0) "OK";
    HELP = 250 (2, 0, 0) "See RFC 5321";
    BYE = 221 (2, 0, 0) "Bye";
    LINE_TOO_LONG = 554 (5, 3, 4) "Line is too long";
    NOT_IMPLEMENTED = 502 (5, 5, 1) "Command not implemented";
    UNABLE = 451 (4, 3, 5) "Unable to decide now, try again later";
    UNABLE_TO_GREET = 421 (4, 3, 5) "Unable to serve now, try again later";
    REFUSED_BY_FILTER = 503 (5, 5, 3) "Refused";

    TLS_GO_AHEAD = 220 (2, 0, 0) "Ready to start TLS";
    TLS_UNAVAILABLE = 502 (5, 7, 0) "TLS is not available";
    TLS_ALREADY = 504 (5, 7, 4) "Already in TLS";

    EHLO_NAME_INVALID = 501 (5, 5, 2) "A domain name or address literal is required";
    EHLO_NOT_FQDN = 550 (5, 5, 0) "A fully qualified domain name is required" by "MtaStageEhlo" "rejectNonFqdn";
    LHLO_ON_SMTP = 502 (5, 5, 1) "LHLO is for LMTP";
    EHLO_ON_LMTP = 500 (5, 5, 1) "LMTP begins with LHLO";
    SPF_EHLO_FAILED = 550 (5, 7, 23) "SPF does not confirm your EHLO name" by "MtaSenderAuth" "spfEhloVerify";
    SPF_EHLO_TEMPORARY = 451 (4, 7, 24) "SPF of your EHLO name cannot be checked now" by "MtaSenderAuth" "spfEhloVerify";

    AUTH_OK = 235 (2, 7, 0) "Authenticated";
    AUTH_UNAVAILABLE_HERE = 503 (5, 5, 1) "AUTH is not available" by "MtaStageAuth" "saslMechanisms";
    AUTH_ALREADY = 503 (5, 5, 1) "Already authenticated";
    AUTH_IN_TRANSACTION = 503 (5, 5, 1) "AUTH is not allowed in a transaction";
    AUTH_MECHANISM = 554 (5, 7, 8) "Mechanism is not supported" by "MtaStageAuth" "saslMechanisms";
    AUTH_WRONG = 535 (5, 7, 8) "Authentication failed";
    AUTH_EXPIRED = 535 (5, 7, 8) "Token has expired";
    AUTH_MALFORMED = 500 (5, 5, 6) "Invalid AUTH exchange";
    AUTH_CANCELLED = 501 (5, 7, 0) "AUTH was cancelled";
    AUTH_FORBIDDEN = 550 (5, 7, 1) "Account may not send";
    AUTH_BACKEND = 454 (4, 7, 0) "Authentication is unavailable, try again later";
    AUTH_RATE = 421 (4, 7, 0) "Too many failures from your address, try again later" by "MtaStageAuth" "failureRate";
    AUTH_TOO_MANY = 455 (4, 3, 0) "Too many failures" by "MtaStageAuth" "maxFailures";

    EHLO_FIRST = 503 (5, 5, 1) "EHLO comes first" by "MtaStageEhlo" "require";
    MAIL_NESTED = 503 (5, 5, 1) "A transaction is open already";
    AUTH_REQUIRED = 503 (5, 5, 1) "Authentication is required" by "MtaStageAuth" "require";
    REVERSE_FAILED = 550 (5, 7, 25) "Reverse DNS does not confirm your address" by "MtaSenderAuth" "reverseIpVerify";
    REVERSE_TEMPORARY = 451 (4, 7, 25) "Reverse DNS cannot be checked now" by "MtaSenderAuth" "reverseIpVerify";
    SENDER_NOT_ALLOWED = 550 (5, 7, 1) "Sender is not allowed" by "MtaStageMail" "isSenderAllowed";
    SENDER_NOT_YOURS = 501 (5, 5, 4) "Sender does not belong to your account" by "MtaStageAuth" "mustMatchSender";
    REQUIRETLS_UNAVAILABLE = 501 (5, 5, 4) "REQUIRETLS is not available" by "MtaExtensions" "requireTls";
    BY_UNAVAILABLE = 501 (5, 5, 4) "BY is not available" by "MtaExtensions" "deliverBy";
    BY_TOO_LARGE = 501 (5, 5, 4) "BY is beyond the limit" by "MtaExtensions" "deliverBy";
    BY_IN_THE_PAST = 501 (5, 5, 4) "BY with mode R needs a time to come";
    PRIORITY_UNAVAILABLE = 501 (5, 5, 4) "MT-PRIORITY is not available" by "MtaExtensions" "mtPriority";
    PRIORITY_OUT_OF_RANGE = 501 (5, 5, 4) "MT-PRIORITY is out of range" by "MtaExtensions" "mtPriority";
    MESSAGE_TOO_LARGE = 552 (5, 3, 4) "Message is too large" by "MtaStageData" "maxMessageSize";
    HOLD_UNAVAILABLE = 501 (5, 5, 4) "HOLDFOR and HOLDUNTIL are not available" by "MtaExtensions" "futureRelease";
    HOLD_CONTRADICTORY = 501 (5, 5, 4) "HOLDFOR and HOLDUNTIL exclude each other";
    HOLD_TOO_LONG = 501 (5, 5, 4) "Hold is beyond the limit" by "MtaExtensions" "futureRelease";
    HOLD_IN_THE_PAST = 501 (5, 5, 4) "HOLDUNTIL is in the past";
    DSN_UNAVAILABLE = 501 (5, 5, 4) "DSN is not available" by "MtaExtensions" "dsn";
    THROTTLED = 452 (4, 4, 5) "Rate limit exceeded, try again later";
    SPF_MAIL_FAILED = 550 (5, 7, 23) "SPF does not confirm your sender" by "MtaSenderAuth" "spfFromVerify";
    SPF_MAIL_TEMPORARY = 451 (4, 7, 24) "SPF of your sender cannot be checked now" by "MtaSenderAuth" "spfFromVerify";
    SENDER_OK = 250 (2, 1, 0) "OK";

    MAIL_FIRST = 503 (5, 5, 1) "MAIL comes first";
    TOO_MANY_RECIPIENTS = 455 (4, 5, 3) "Too many recipients" by "MtaStageRcpt" "maxRecipients";
    RECIPIENT_OK = 250 (2, 1, 5) "OK";
    RELAY_DENIED = 550 (5, 1, 2) "Relaying is not allowed" by "MtaStageRcpt" "allowRelaying";
    NO_SUCH_MAILBOX = 550 (5, 1, 2) "Mailbox does not exist";
    DIRECTORY_UNAVAILABLE = 451 (4, 4, 3) "Recipient cannot be checked now";
    RCPT_AFTER_BDAT = 503 (5, 5, 1) "RCPT cannot follow BDAT";
    GREYLISTED = 452 (4, 2, 2) "Greylisted, try again later" by "MtaGreylist" "match";
    TOO_MANY_ERRORS = 451 (4, 3, 0) "Too many errors" by "MtaStageRcpt" "maxFailures";
    ANOTHER_ROUTE = 452 (4, 5, 3) "Recipient takes another route, send it in another transaction" by "MtaOutboundStrategy" "mixedRoutes";

    RCPT_FIRST = 503 (5, 5, 1) "RCPT comes first";
    TOO_MANY_MESSAGES = 452 (4, 4, 5) "Too many messages on this connection" by "MtaStageData" "maxMessages";
    DATA_AFTER_BDAT = 503 (5, 5, 1) "DATA cannot follow BDAT";
    BINARY_NEEDS_BDAT = 503 (5, 5, 1) "BINARYMIME needs BDAT";
    MESSAGE_IS_DEAD = 503 (5, 5, 1) "Message was refused, send RSET";
    CHUNK_OK = 250 (2, 6, 0) "Chunk accepted";
    OUT_OF_SPACE = 452 (4, 3, 1) "Insufficient storage, try again later" by "MtaSettings" "messageMemory";
    BARE_LINE_ENDS = 550 (5, 6, 0) "Message holds a bare CR or LF" by "MtaStageData" "bareLineEnds";
    HEADER_TOO_LARGE = 552 (5, 3, 4) "Header section is too large";
    NOT_A_MESSAGE = 550 (5, 7, 7) "This is not a message";
    LOOP = 450 (4, 4, 6) "Too many Received fields, possible loop" by "MtaStageData" "maxReceivedHeaders";
    DKIM_FAILED = 550 (5, 7, 20) "No passing DKIM signature" by "MtaSenderAuth" "dkimVerify";
    DKIM_TEMPORARY = 451 (4, 7, 20) "DKIM cannot be checked now" by "MtaSenderAuth" "dkimVerify";
    ARC_FAILED = 550 (5, 7, 29) "ARC chain does not pass" by "MtaSenderAuth" "arcVerify";
    ARC_TEMPORARY = 451 (4, 7, 29) "ARC cannot be checked now" by "MtaSenderAuth" "arcVerify";
    DMARC_FAILED = 550 (5, 7, 1) "Message violates the DMARC policy of its author's domain" by "MtaSenderAuth" "dmarcVerify";
    DMARC_TEMPORARY = 451 (4, 7, 1) "DMARC cannot be checked now" by "MtaSenderAuth" "dmarcVerify";
    DELIVERED = 250 (2, 0, 0) "OK";

    QUERY_DISABLED = 252 (2, 5, 1) "Cannot say, send some mail and see";
    QUERY_UNAVAILABLE = 252 (2, 4, 3) "Cannot say now, send some mail and see";
    QUERY_NOT_FOUND = 550 (5, 1, 2) "Not found";
    QUERY_EMPTY = 501 (5, 5, 2) "An argument is required";

    IDLE = 221 (2, 0, 0) "Disconnecting, inactive for too long" by "MtaInboundSession" "timeout";
    FLOODED = 452 (4, 7, 28) "Too much data on this connection" by "MtaInboundSession" "transferLimit";
    EXPIRED = 421 (4, 3, 2) "Connection is open for too long" by "MtaInboundSession" "maxDuration";
    SHUTDOWN = 421 (4, 3, 0) "Server is shutting down";
}

/// 354 carries no enhanced code (RFC 2034 section 4).
pub(super) const GO_AHEAD: Reply = Reply::plain(354, "Start mail input; end with <CRLF>.<CRLF>");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_its_enhanced_code_are_of_one_class() {
        for reply in ALL {
            let class = reply.enhanced().map(|enhanced| u16::from(enhanced.0));
            assert_eq!(class, Some(reply.code() / 100), "{reply}");
        }
    }
}
