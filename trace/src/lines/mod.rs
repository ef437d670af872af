//! Log lines on standard error, each with the id of the trace that it was written in.

mod behind;
mod plain;

use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use self::behind::Behind;
use self::plain::Plain;
use crate::current::current_id;

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON object on each line.
    Json,
}

/// The log of a process. Dropping it waits until all lines are written that there are, but at most 5 s; later ones may be lost.
#[must_use]
pub struct Log(Behind);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.drain();
    }
}

/// Writes log lines from now on. `RUST_LOG` says which; where it says nothing, `usual` does.
///
/// # Errors
/// When the thread that writes them cannot be started.
pub fn to_stderr(form: Form, usual: &str) -> io::Result<Log> {
    let behind = Behind::begin(io::stderr())?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let colours = io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(behind.clone()).with_ansi(colours);
    match form {
        Form::Text => {
            let inner = Format::default().with_target(false);
            let lines = lines.event_format(WithId { form, inner });
            if colours { lines.init() } else { lines.fmt_fields(Plain).init() }
        }
        Form::Json => {
            let inner = Format::default().json().flatten_event(true);
            lines.json().event_format(WithId { form, inner }).init();
        }
    }
    Ok(Log(behind))
}

/// A form of lines, with the id where an event does not say one itself.
struct WithId<F> {
    form: Form,
    inner: F,
}

impl<S, N, F> FormatEvent<S, N> for WithId<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let id = current_id().filter(|_| event.metadata().fields().field("id").is_none());
        let Some(id) = id else { return self.inner.format_event(ctx, out, event) };
        let mut line = String::new();
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        match self.form {
            Form::Text => writeln!(out, "{line} id={id:032x}"),
            Form::Json => writeln!(out, "{},\"id\":\"{id:032x}\"}}", line.strip_suffix('}').unwrap_or(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{Place, Span};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_line_without_colours_is_that_of_the_subscriber() {
        let (plain, usual) = (Written::default(), Written::default());
        let format = || Format::default().with_target(false).without_time().with_ansi(false);
        let tell = || {
            let (none, some) = (None::<&str>, Some("a \"b\""));
            tracing::info!(number = 7_u64, signed = -7, part = 0.25, yes = true, none, some, shown = %"x y", "a message");
            tracing::warn!(error = %"down", "no {}", "message");
        };
        let (to, other) = (plain.clone(), usual.clone());
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone());
        tracing::subscriber::with_default(lines.event_format(format()).fmt_fields(Plain).finish(), tell);
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || other.clone());
        tracing::subscriber::with_default(lines.event_format(format()).finish(), tell);
        assert_eq!(plain.text(), usual.text());
        assert!(plain.text().contains("number=7"), "{}", plain.text());
    }

    #[tokio::test]
    async fn a_line_in_a_trace_says_its_id_once() {
        let written = Written::default();
        let writer = {
            let written = written.clone();
            move || written.clone()
        };
        let inner = Format::default().json().flatten_event(true);
        let lines = tracing_subscriber::fmt().with_writer(writer).json();
        let _guard =
            tracing::subscriber::set_default(lines.event_format(WithId { form: Form::Json, inner }).finish());
        let place = Place::below(&Span::NONE, 0xabc);
        place.around(async { tracing::info!(hop = "a{b}", "without") }).await;
        Place::below(&Span::NONE, 0xabc).around(async { tracing::info!(id = "own", "with") }).await;
        tracing::info!("outside");
        let text = written.text();
        let [without, with, outside] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(without.ends_with(r#","id":"00000000000000000000000000000abc"}"#), "{without}");
        assert_eq!(with.matches("\"id\":").count(), 1, "{with}");
        assert!(!outside.contains("\"id\""), "{outside}");
    }
}
