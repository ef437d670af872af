//! The verdicts as JUnit XML, which CI systems read.

use std::fmt::Write as _;

use super::Verdict;

/// One test suite with all tests.
pub(super) fn xml(suite: &str, verdicts: &[Verdict]) -> String {
    let failures = verdicts.iter().filter(|verdict| !verdict.passed()).count();
    let seconds: f64 = verdicts.iter().map(|verdict| verdict.took.as_secs_f64()).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing into a text cannot fail.
    let _ = writeln!(
        xml,
        "<testsuites>\n  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" time=\"{seconds:.3}\">",
        escaped(suite),
        verdicts.len(),
    );
    for verdict in verdicts {
        let (file, line) = verdict.place.rsplit_once(':').unwrap_or((&verdict.place, "0"));
        let head = format!(
            "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.3}\"",
            escaped(&verdict.name),
            escaped(suite),
            escaped(file),
            escaped(line),
            verdict.took.as_secs_f64()
        );
        let _ = match verdict.passed() {
            true => writeln!(xml, "{head}/>"),
            false => writeln!(
                xml,
                "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                escaped(verdict.deviations.first().map_or("", String::as_str)),
                escaped(&verdict.deviations.join("\n"))
            ),
        };
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Text for an attribute or an element. Characters that XML 1.0 cannot hold become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            letter if letter.is_control() || matches!(letter, '\u{FFFE}' | '\u{FFFF}') => {
                out.push('\u{FFFD}')
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reply_holds_cannot_end_an_element() {
        assert_eq!(escaped("<a b=\"c\">&\u{1b}\n"), "&lt;a b=&quot;c&quot;&gt;&amp;\u{FFFD}&#10;");
    }
}
