//! The bare constants of the language: `strict`, `plain`, `mixer` and their like.

/// A constant that stands for itself. It is true, its text is its name, and it equals nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// `strict`: verify and refuse what does not pass.
    Strict,
    /// `relaxed`: verify and record.
    Relaxed,
    /// `disable`: do not verify.
    Disable,
    /// `plain`: the SASL mechanism PLAIN (RFC 4616).
    Plain,
    /// `login`: the SASL mechanism LOGIN.
    Login,
    /// `oauthbearer`: the SASL mechanism OAUTHBEARER (RFC 7628).
    OauthBearer,
    /// `xoauth2`: the SASL mechanism XOAUTH2.
    Xoauth2,
    /// `mixer`: the MIXER priority profile (RFC 6758).
    Mixer,
    /// `stanag4406`: the STANAG 4406 priority profile (RFC 6710 appendix A).
    Stanag4406,
    /// `nsep`: the NSEP priority profile (RFC 6710 appendix C).
    Nsep,
}

impl Word {
    /// Every word there is.
    pub const ALL: [Self; 10] = [
        Self::Strict,
        Self::Relaxed,
        Self::Disable,
        Self::Plain,
        Self::Login,
        Self::OauthBearer,
        Self::Xoauth2,
        Self::Mixer,
        Self::Stanag4406,
        Self::Nsep,
    ];

    /// The word as it is written in an expression.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Relaxed => "relaxed",
            Self::Disable => "disable",
            Self::Plain => "plain",
            Self::Login => "login",
            Self::OauthBearer => "oauthbearer",
            Self::Xoauth2 => "xoauth2",
            Self::Mixer => "mixer",
            Self::Stanag4406 => "stanag4406",
            Self::Nsep => "nsep",
        }
    }

    /// The word of that name; names are case-sensitive.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.name() == name)
    }
}
