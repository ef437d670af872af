//! `postern check`: everything that is wrong with a folder, for people, programs and CI.

use std::io::{self, Write};
use std::path::Path;

use postern_crds::Fault;
use serde::Serialize;

use crate::capacity::Capacity;
use crate::cli::CheckFormat;
use crate::reload::{Candidate, Refusal, Source, StartError};
use crate::tls::TlsContext;

/// What is wrong with a folder.
#[derive(Debug, Serialize)]
pub struct Findings {
    /// What keeps the policy from being put in force.
    pub faults: Vec<Fault>,
    /// What is worth a look.
    pub warnings: Vec<Fault>,
}

impl Findings {
    /// Does all that `serve` does before it binds a socket.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn of(source: &impl Source) -> Result<Self, StartError> {
        let folder = source.folder().to_owned();
        let loaded = source.load().map_err(|cause| StartError::Folder { folder, cause })?;
        let tls = TlsContext::new().map_err(StartError::Tls)?;
        Ok(match Candidate::new(loaded, &tls, &Capacity::default()) {
            Ok(candidate) => {
                let nobody_listens = candidate.nobody_listens();
                let warnings = candidate.warnings.into_iter().chain(nobody_listens).collect();
                Self { faults: Vec::new(), warnings }
            }
            Err(Refusal { faults, warnings, .. }) => Self { faults, warnings },
        })
    }

    /// Writes them in the wanted form; files are named as seen from where `folder` is.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, folder: &Path, format: CheckFormat, out: &mut impl Write) -> io::Result<()> {
        let all = || {
            let faults = self.faults.iter().map(|fault| ("error", fault));
            faults.chain(self.warnings.iter().map(|warning| ("warning", warning)))
        };
        match format {
            CheckFormat::Text => all().try_for_each(|(level, finding)| writeln!(out, "{level}: {finding}")),
            CheckFormat::Json => {
                serde_json::to_writer_pretty(&mut *out, self)?;
                writeln!(out)
            }
            CheckFormat::Github => {
                all().try_for_each(|(level, finding)| annotation(out, folder, level, finding))
            }
        }
    }
}

/// `::error file=…,line=…,col=…::…`
fn annotation(out: &mut impl Write, folder: &Path, level: &str, finding: &Fault) -> io::Result<()> {
    let mut place = Vec::new();
    if let Some(file) = &finding.file {
        place.push(format!("file={}", escaped(&folder.join(&**file).to_string_lossy(), PROPERTY)));
    }
    place.extend(finding.line.map(|line| format!("line={line}")));
    place.extend(finding.column.map(|column| format!("col={column}")));
    // The place is in the properties already.
    let unplaced = Fault { file: None, ..finding.clone() };
    let space = if place.is_empty() { "" } else { " " };
    writeln!(out, "::{level}{space}{}::{}", place.join(","), escaped(&unplaced.to_string(), MESSAGE))
}

/// The characters that end a message or a property of a workflow command.
fn escaped(text: &str, special: &[char]) -> String {
    text.chars().fold(String::new(), |mut out, letter| {
        if special.contains(&letter) {
            out.push_str(&format!("%{:02X}", u32::from(letter)));
        } else {
            out.push(letter);
        }
        out
    })
}

const MESSAGE: &[char] = &['%', '\r', '\n'];
const PROPERTY: &[char] = &['%', '\r', '\n', ':', ','];

#[cfg(test)]
mod tests {
    use super::*;
    use postern_crds::{FaultClass, ObjectRef};

    fn fault(message: &str) -> Fault {
        Fault {
            class: FaultClass::Own,
            object: Some(ObjectRef { kind: "MtaListener".into(), name: "smtp".into() }),
            path: "spec.bind[0]".to_owned(),
            file: Some("a,b.yaml".into()),
            line: Some(7),
            column: Some(9),
            message: message.to_owned(),
            suggestion: None,
            position_in_source: None,
        }
    }

    fn written(format: CheckFormat) -> String {
        let findings = Findings { faults: vec![fault("not an\naddress")], warnings: vec![fault("100% odd")] };
        let mut out = Vec::new();
        findings.write(Path::new("policy"), format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_has_the_place_first() {
        assert!(
            written(CheckFormat::Text)
                .starts_with("error: a,b.yaml:7:9: MtaListener/smtp spec.bind[0]: not an")
        );
    }

    #[test]
    fn annotations_escape_what_would_end_them() {
        assert_eq!(
            written(CheckFormat::Github),
            "::error file=policy/a%2Cb.yaml,line=7,col=9::MtaListener/smtp spec.bind[0]: not an%0Aaddress\n\
             ::warning file=policy/a%2Cb.yaml,line=7,col=9::MtaListener/smtp spec.bind[0]: 100%25 odd\n"
        );
    }

    #[test]
    fn json_holds_faults_and_warnings_apart() {
        let json: serde_json::Value = serde_json::from_str(&written(CheckFormat::Json)).unwrap();
        assert_eq!(json["faults"][0]["line"], 7);
        assert_eq!(json["warnings"][0]["message"], "100% odd");
    }
}
