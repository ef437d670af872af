//! The replies that the server gives of its own accord. Codes are fixed by the behaviour, texts are free.

use super::reply::{EnhancedCode, Reply};

/// Replies with fixed codes, in the order of their codes.
impl Reply {
    /// 354: the message may follow (RFC 5321 section 4.1.1.4).
    pub const START_DATA: Self = Self::plain(354, "Start mail input; end with <CRLF>.<CRLF>");
    /// 220 2.0.0: STARTTLS.
    pub const READY_FOR_TLS: Self = Self::new(220, EnhancedCode(2, 0, 0), "Ready to start TLS");
    /// 221 2.0.0: QUIT.
    pub const BYE: Self = Self::new(221, EnhancedCode(2, 0, 0), "Bye");
    /// 221 2.0.0: no octets for the session's timeout; goes with the hostname in front.
    pub const IDLE: Self = Self::new(221, EnhancedCode(2, 0, 0), "Nothing heard for too long, closing");
    /// 235 2.7.0: AUTH succeeded (RFC 4954 section 6).
    pub const AUTHENTICATED: Self = Self::new(235, EnhancedCode(2, 7, 0), "Authentication succeeded");
    /// 250 2.0.0: RSET, NOOP, and a message that was taken.
    pub const OK: Self = Self::new(250, EnhancedCode(2, 0, 0), "OK");
    /// 250 2.0.0: HELP.
    pub const HELP: Self = Self::new(250, EnhancedCode(2, 0, 0), "See RFC 5321");
    /// 250 2.1.0: MAIL was accepted.
    pub const SENDER_OK: Self = Self::new(250, EnhancedCode(2, 1, 0), "Sender OK");
    /// 250 2.1.5: RCPT was accepted, or the recipient had been before.
    pub const RECIPIENT_OK: Self = Self::new(250, EnhancedCode(2, 1, 5), "Recipient OK");
    /// 250 2.6.0: a chunk that is not the last (RFC 3030 section 2).
    pub const CHUNK_OK: Self = Self::new(250, EnhancedCode(2, 6, 0), "Chunk taken");
    /// 252 2.5.1: VRFY or EXPN while it is off.
    pub const CANNOT_VERIFY: Self =
        Self::new(252, EnhancedCode(2, 5, 1), "Cannot verify, but will take mail and try");
    /// 252 2.4.3: VRFY or EXPN while the directory does not answer.
    pub const DIRECTORY_AWAY: Self =
        Self::new(252, EnhancedCode(2, 4, 3), "Cannot verify now, but will take mail and try");
    /// 421 4.3.0: the server drains; goes with the hostname in front.
    pub const SHUTTING_DOWN: Self = Self::new(421, EnhancedCode(4, 3, 0), "Server is shutting down");
    /// 421 4.3.2: `maxDuration` is over; goes with the hostname in front.
    pub const SESSION_TOO_OLD: Self = Self::new(421, EnhancedCode(4, 3, 2), "Session has lasted too long");
    /// 421 4.4.5: a connection-class throttle.
    pub const TOO_MANY_CONNECTIONS: Self =
        Self::new(421, EnhancedCode(4, 4, 5), "Too many connections, try again later");
    /// 421 4.3.5: nothing can be decided at connect.
    pub const SERVER_FAILED: Self =
        Self::new(421, EnhancedCode(4, 3, 5), "Server configuration problem, try again later");
    /// 450 4.4.6: more than `maxReceivedHeaders`.
    pub const LOOP: Self = Self::new(450, EnhancedCode(4, 4, 6), "Too many Received header fields");
    /// 451 4.3.5: an evaluation, a filter or the hand-off failed.
    pub const UNDECIDED: Self =
        Self::new(451, EnhancedCode(4, 3, 5), "Unable to decide now, try again later");
    /// 451 4.3.0: the RCPT failure that reaches `maxFailures`.
    pub const TOO_MANY_ERRORS: Self = Self::new(451, EnhancedCode(4, 3, 0), "Too many errors, closing");
    /// 451 4.4.3: the directory or the next hop cannot be asked.
    pub const RECIPIENT_UNDECIDED: Self =
        Self::new(451, EnhancedCode(4, 4, 3), "Unable to verify the recipient now, try again later");
    /// 451 4.7.24: strict SPF met a temporary error.
    pub const SPF_UNDECIDED: Self =
        Self::new(451, EnhancedCode(4, 7, 24), "Unable to check SPF now, try again later");
    /// 451 4.7.25: strict reverse DNS met a temporary error.
    pub const IPREV_UNDECIDED: Self =
        Self::new(451, EnhancedCode(4, 7, 25), "Unable to check reverse DNS now, try again later");
    /// 451 4.7.20: strict DKIM met a temporary error.
    pub const DKIM_UNDECIDED: Self =
        Self::new(451, EnhancedCode(4, 7, 20), "Unable to check DKIM now, try again later");
    /// 451 4.7.29: strict ARC met a temporary error.
    pub const ARC_UNDECIDED: Self =
        Self::new(451, EnhancedCode(4, 7, 29), "Unable to check ARC now, try again later");
    /// 451 4.7.1: strict DMARC met a temporary error.
    pub const DMARC_UNDECIDED: Self =
        Self::new(451, EnhancedCode(4, 7, 1), "Unable to check DMARC now, try again later");
    /// 452 4.7.28: `transferLimit` is over; goes with the hostname in front.
    pub const TRANSFER_LIMIT: Self =
        Self::new(452, EnhancedCode(4, 7, 28), "Session has transferred too much");
    /// 452 4.4.5: a sender-class or recipient-class throttle.
    pub const THROTTLED: Self = Self::new(452, EnhancedCode(4, 4, 5), "Rate limit exceeded, try again later");
    /// 452 4.4.5: `maxMessages` is reached.
    pub const TOO_MANY_MESSAGES: Self =
        Self::new(452, EnhancedCode(4, 4, 5), "Too many messages in this session");
    /// 452 4.2.2: the first sight of a sender.
    pub const GREYLISTED: Self = Self::new(452, EnhancedCode(4, 2, 2), "Greylisted, try again later");
    /// 452 4.5.3: `mixedRoutes: Defer` (RFC 5321 section 4.5.3.1.10).
    pub const ONE_ROUTE_ONLY: Self =
        Self::new(452, EnhancedCode(4, 5, 3), "Send this recipient a copy of its own");
    /// 452 4.3.1: the memory for messages is used up.
    pub const NO_STORAGE: Self =
        Self::new(452, EnhancedCode(4, 3, 1), "Insufficient storage, try again later");
    /// 454 4.7.0: the directory does not answer AUTH.
    pub const AUTH_UNAVAILABLE: Self =
        Self::new(454, EnhancedCode(4, 7, 0), "Unable to authenticate now, try again later");
    /// 455 4.5.3: `maxRecipients` is reached.
    pub const TOO_MANY_RECIPIENTS: Self = Self::new(455, EnhancedCode(4, 5, 3), "Too many recipients");
    /// 455 4.3.0: `maxFailures` of AUTH is reached.
    pub const TOO_MANY_AUTH_ERRORS: Self =
        Self::new(455, EnhancedCode(4, 3, 0), "Too many authentication errors, closing");
    /// 500 5.5.1: an unknown verb or an empty line.
    pub const UNKNOWN_COMMAND: Self = Self::new(500, EnhancedCode(5, 5, 1), "Unknown command");
    /// 500 5.5.6: AUTH data that cannot be read.
    pub const BAD_EXCHANGE: Self = Self::new(500, EnhancedCode(5, 5, 6), "Malformed authentication exchange");
    /// 501 5.5.2: a command that cannot be read.
    pub const SYNTAX_ERROR: Self = Self::new(501, EnhancedCode(5, 5, 2), "Syntax error");
    /// 501 5.1.8: the path of MAIL holds no mailbox.
    pub const BAD_SENDER: Self = Self::new(501, EnhancedCode(5, 1, 8), "Malformed sender address");
    /// 501 5.1.3: the path of RCPT holds no mailbox.
    pub const BAD_RECIPIENT: Self = Self::new(501, EnhancedCode(5, 1, 3), "Malformed recipient address");
    /// 501 5.5.4: a known parameter with a bad value, or one that may not be used here.
    pub const BAD_PARAMETER: Self = Self::new(501, EnhancedCode(5, 5, 4), "Invalid parameter");
    /// 501 5.7.0: the client sent `*` (RFC 4954 section 4).
    pub const AUTH_CANCELLED: Self = Self::new(501, EnhancedCode(5, 7, 0), "Authentication cancelled");
    /// 502 5.5.1: ETRN, ATRN, BURL; LHLO on SMTP.
    pub const NOT_IMPLEMENTED: Self = Self::new(502, EnhancedCode(5, 5, 1), "Command not implemented");
    /// 502 5.7.0: STARTTLS without a certificate.
    pub const NO_TLS: Self = Self::new(502, EnhancedCode(5, 7, 0), "TLS is not available");
    /// 503 5.5.1: a command out of order.
    pub const BAD_SEQUENCE: Self = Self::new(503, EnhancedCode(5, 5, 1), "Bad sequence of commands");
    /// 504 5.5.4: a parameter that no extension defines.
    pub const UNKNOWN_PARAMETER: Self = Self::new(504, EnhancedCode(5, 5, 4), "Unknown parameter");
    /// 504 5.7.4: STARTTLS inside TLS.
    pub const TLS_ALREADY: Self = Self::new(504, EnhancedCode(5, 7, 4), "Already in TLS");
    /// 535 5.7.8: wrong credentials or an expired token.
    pub const BAD_CREDENTIALS: Self =
        Self::new(535, EnhancedCode(5, 7, 8), "Authentication credentials invalid");
    /// 550 5.7.1: `isSenderAllowed` says no, or a filter gave no words of its own.
    pub const REFUSED: Self = Self::new(550, EnhancedCode(5, 7, 1), "Refused by policy");
    /// 550 5.5.0: `rejectNonFqdn` and a name without a dot.
    pub const BAD_HELO: Self =
        Self::new(550, EnhancedCode(5, 5, 0), "A fully qualified host name is required");
    /// 550 5.1.2: no relaying and no such mailbox.
    pub const NO_SUCH_RECIPIENT: Self = Self::new(550, EnhancedCode(5, 1, 2), "Recipient unknown here");
    /// 550 5.6.0: `bareLineEnds: Reject`.
    pub const BARE_LINE_END: Self = Self::new(550, EnhancedCode(5, 6, 0), "Bare CR or LF in the message");
    /// 550 5.7.7: neither RFC 5322 nor MIME knows any field.
    pub const NOT_A_MESSAGE: Self =
        Self::new(550, EnhancedCode(5, 7, 7), "No header field that a message has");
    /// 550 5.6.7: RFC 6531 section 3.5.
    pub const NEEDS_SMTPUTF8: Self =
        Self::new(550, EnhancedCode(5, 6, 7), "The next hop does not offer SMTPUTF8");
    /// 550 5.7.10: RFC 8689 section 4.2.1.
    pub const NEEDS_REQUIRETLS: Self =
        Self::new(550, EnhancedCode(5, 7, 10), "The next hop does not offer REQUIRETLS");
    /// 550 5.7.23: strict SPF without a pass.
    pub const SPF_REFUSED: Self = Self::new(550, EnhancedCode(5, 7, 23), "SPF validation failed");
    /// 550 5.7.25: strict reverse DNS without a pass.
    pub const IPREV_REFUSED: Self = Self::new(550, EnhancedCode(5, 7, 25), "Reverse DNS validation failed");
    /// 550 5.7.20: strict DKIM without a pass.
    pub const DKIM_REFUSED: Self = Self::new(550, EnhancedCode(5, 7, 20), "No passing DKIM signature");
    /// 550 5.7.29: strict ARC with a chain that does not pass.
    pub const ARC_REFUSED: Self = Self::new(550, EnhancedCode(5, 7, 29), "ARC validation failed");
    /// 550 5.7.1: strict DMARC without a pass.
    pub const DMARC_REFUSED: Self =
        Self::new(550, EnhancedCode(5, 7, 1), "Refused by the DMARC policy of the author's domain");
    /// 552 5.3.4: more than `maxMessageSize`.
    pub const TOO_BIG: Self = Self::new(552, EnhancedCode(5, 3, 4), "Message too big");
    /// 553 5.6.7: octets above 127 in an address without SMTPUTF8 (RFC 6531 section 3.5).
    pub const UNDECLARED_UTF8: Self = Self::new(553, EnhancedCode(5, 6, 7), "Address needs SMTPUTF8");
    /// 554 5.3.4: a command line of more than 4096 octets.
    pub const LINE_TOO_LONG: Self = Self::new(554, EnhancedCode(5, 3, 4), "Line too long");
    /// 554 5.7.8: AUTH with a mechanism that is not on.
    pub const BAD_MECHANISM: Self =
        Self::new(554, EnhancedCode(5, 7, 8), "Authentication mechanism not available");
    /// 554 5.6.3: RFC 6152 section 3.
    pub const NEEDS_8BITMIME: Self =
        Self::new(554, EnhancedCode(5, 6, 3), "The next hop does not offer 8BITMIME");
    /// 554 5.0.0: a refusal whose own words were unusable.
    pub const FAILED: Self = Self::new(554, EnhancedCode(5, 0, 0), "Transaction failed");
}
