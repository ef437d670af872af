//! DATA (RFC 5321 section 4.1.1.4) and BDAT (RFC 3030): whether a message may come now, and how.

use super::Session;
use super::change::{Change, Step};
use super::event::{Action, ChunkEnd, Reception};
use super::facts::View;
use super::question::{Halt, Inquiry};
use super::replies;
use super::state::{DataState, Transaction};
use crate::policy::defaults::DOCUMENTED;
use crate::smtp::parameters::BodyType;
use crate::smtp::reply::Reply;

impl Session {
    pub(super) fn data(&self, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        let transaction = self.message_may_come(inquiry)?;
        if transaction.data == DataState::Chunks {
            return Err(replies::DATA_AFTER_BDAT.into());
        }
        let limits = reception(transaction);
        if limits.binary {
            return Err(replies::BINARY_NEEDS_BDAT.into());
        }
        Ok(Step::action(Action::ReceiveData { go_ahead: replies::GO_AHEAD, limits }))
    }

    /// The octets of a chunk follow the command whatever we say, so a refused chunk is read all the same.
    pub(super) fn bdat(&self, size: u64, last: bool, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        match self.message_may_come(inquiry) {
            Ok(transaction) => {
                let limits = reception(transaction);
                Ok(Step::new(Change::Data(DataState::Chunks), Action::ReceiveChunk { size, last, limits }))
            }
            Err(Halt::Refuse(reply)) => Ok(Step::action(Action::Swallow { size, reply })),
            Err(Halt::Unable(cause)) => {
                let reply = replies::UNABLE.or_because(cause.as_ref());
                Ok(Step::action(Action::Swallow { size, reply }))
            }
            Err(ask @ Halt::Ask(_)) => Err(ask),
        }
    }

    pub(super) fn chunk_received(&self, end: ChunkEnd) -> Step {
        if self.transaction().is_some_and(|transaction| transaction.doomed.is_some()) {
            return Step::reply(replies::CHUNK_OK);
        }
        let refused = |reply: Reply| Step::new(Change::Data(DataState::Dead), Action::Reply(reply));
        match end {
            ChunkEnd::Kept => Step::reply(replies::CHUNK_OK),
            ChunkEnd::TooLarge => refused(replies::MESSAGE_TOO_LARGE),
            ChunkEnd::OutOfSpace => refused(replies::OUT_OF_SPACE),
        }
    }

    fn message_may_come(&self, inquiry: &Inquiry<'_>) -> Result<&Transaction, Halt> {
        let transaction = self.transaction().ok_or(replies::MAIL_FIRST)?;
        if transaction.data == DataState::Dead {
            return Err(replies::MESSAGE_IS_DEAD.into());
        }
        if !transaction.has_recipients() {
            return Err(replies::RCPT_FIRST.into());
        }
        let view = View::new(self, inquiry);
        let most = view.tuned(&self.policy.data.max_messages, &DOCUMENTED.data.max_messages)?;
        if self.messages >= most {
            return Err(replies::TOO_MANY_MESSAGES.into());
        }
        Ok(transaction)
    }
}

fn reception(transaction: &Transaction) -> Reception {
    // A doomed message is read and thrown away: above the first octet nothing of it is kept.
    let max_size = if transaction.doomed.is_some() { 1 } else { transaction.limits.max_message_size };
    Reception { max_size, binary: transaction.envelope.parameters.body == Some(BodyType::BinaryMime) }
}
