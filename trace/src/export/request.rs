//! The message that a collector gets: the resource, the scope, and spans as they lie in the queue.

use bytes::Bytes;

use super::queue::Batch;
use crate::encoding::{self, field};
use crate::settings::Settings;

/// What stands before the spans of every request.
#[derive(Debug)]
pub(super) struct Preamble {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Preamble {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut attributes = Vec::new();
        for (name, value) in &settings.resource {
            encoding::text_attribute(field::RESOURCE_ATTRIBUTES, name, value, &mut attributes);
        }
        let mut resource = Vec::new();
        encoding::octets(field::RESOURCE, &attributes, &mut resource);
        let (name, version) = settings.scope;
        let mut scope = Vec::new();
        encoding::nested(field::SCOPE, &mut scope, |out| {
            encoding::octets(field::SCOPE_NAME, name.as_bytes(), out);
            encoding::octets(field::SCOPE_VERSION, version.as_bytes(), out);
        });
        Self { resource, scope }
    }

    /// An `ExportTraceServiceRequest`, with room for what a protocol puts before it.
    pub(super) fn request(&self, batch: &Batch, prefix: usize) -> Vec<u8> {
        let spans = self.scope.len() + batch.encoded.len();
        let mut scope_spans = Vec::with_capacity(KEY_OCTETS);
        encoding::head(field::SCOPE_SPANS, spans, &mut scope_spans);
        let all = self.resource.len() + scope_spans.len() + spans;
        let mut out = Vec::with_capacity(prefix + KEY_OCTETS + all);
        out.resize(prefix, 0);
        encoding::head(field::RESOURCE_SPANS, all, &mut out);
        for part in [&self.resource, &scope_spans, &self.scope, &batch.encoded] {
            out.extend_from_slice(part);
        }
        out
    }

    /// The same as gRPC frames it: not compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message").
    pub(super) fn grpc(&self, batch: &Batch) -> Bytes {
        let mut framed = self.request(batch, GRPC_PREFIX);
        let length = u32::try_from(framed.len() - GRPC_PREFIX).unwrap_or(u32::MAX);
        if let Some(place) = framed.get_mut(1..GRPC_PREFIX) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        framed.into()
    }
}

/// Key and length of a field at most, octets.
const KEY_OCTETS: usize = 11;
/// A flag, and the length.
pub(super) const GRPC_PREFIX: usize = 5;
