//! Functions about the message and the part of it that `foreverypart` is at.

use mail_parser::{HeaderName, HeaderValue, MessagePart, MimeHeaders, PartType};
use sieve::Context;

fn current<'a, 'x>(context: &'a Context<'x>) -> Option<&'a MessagePart<'x>> {
    context.message().parts.get(usize::try_from(context.part()).ok()?)
}

/// Whether the part is one of the bodies that a reader is shown.
pub(super) fn is_body(context: &Context<'_>) -> bool {
    let (message, part) = (context.message(), context.part());
    message.text_body.contains(&part) || message.html_body.contains(&part)
}

/// Whether the part is an attachment.
pub(super) fn is_attachment(context: &Context<'_>) -> bool {
    context.message().attachments.contains(&context.part())
}

/// The file name of the part; empty without one.
pub(super) fn attachment_name(context: &Context<'_>) -> String {
    current(context).and_then(|part| part.attachment_name()).unwrap_or_default().to_owned()
}

/// Octets of the part, decoded.
pub(super) fn octets(context: &Context<'_>) -> usize {
    current(context).map_or(0, |part| match &part.body {
        PartType::Multipart(_) => 0,
        PartType::Message(message) => message.raw_message().len(),
        _ => part.contents().len(),
    })
}

/// Whether the part could not be decoded as it says.
pub(super) fn is_encoding_problem(context: &Context<'_>) -> bool {
    current(context).is_some_and(|part| part.is_encoding_problem)
}

/// Whether every field of that name, as it was received, is UTF-8.
pub(super) fn is_header_utf8_valid(context: &Context<'_>, name: &str) -> bool {
    let Some(name) = HeaderName::parse(name) else { return true };
    let raw = context.message().raw_message();
    current(context).is_none_or(|part| {
        part.headers.iter().filter(|header| header.name == name).all(|header| {
            let value = raw.get(header.offset_start as usize..header.offset_end as usize);
            value.is_none_or(|value| std::str::from_utf8(value).is_ok())
        })
    })
}

/// A part of the `number`-th Received field, counted from 1 at the top.
pub(super) fn received(context: &Context<'_>, number: usize, what: &str) -> Option<String> {
    let headers = &context.message().parts.first()?.headers;
    let mut fields = headers.iter().filter(|header| header.name == HeaderName::Received);
    let HeaderValue::Received(received) = &fields.nth(number.checked_sub(1)?)?.value else { return None };
    match what {
        "from" => received.from().map(ToString::to_string),
        "from.ip" => received.from_ip().map(|ip| ip.to_string()),
        "from.ip.reverse" => received.from_ip().map(postern_core::expr::reverse_name),
        "by" => received.by().map(ToString::to_string),
        "for" => received.for_().map(ToOwned::to_owned),
        "with" => received.with().map(|with| with.as_str().to_owned()),
        "tls" => received.tls_version().map(|version| version.as_str().to_owned()),
        "cipher" => received.tls_cipher().map(ToOwned::to_owned),
        "id" => received.id().map(ToOwned::to_owned),
        "ident" => received.ident().map(ToOwned::to_owned),
        "date" => received.date().map(|date| date.to_timestamp().to_string()),
        _ => None,
    }
}
