//! `MtaPipe`: a program that reads the message and writes it back.

mod process;
mod program;

use std::time::Duration;

use postern_core::message::edit::Edit;
use postern_core::message::header::Header;
use postern_core::session::consult::PipeCall;
use postern_core::verdict::{Modification, Verdict};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::process::Process;
use super::{Case, FilterError};
use crate::message::{Budget, Content, Reservation};

pub(super) async fn judge(call: &PipeCall, case: &Case<'_>) -> Result<Verdict, FilterError> {
    let message = case.in_hand()?.content();
    let program = program::find(&call.pipe.folder, &call.command)?;
    let mut process = Process::start(&program, &call.arguments, &call.pipe.folder)?;
    let (stdin, stdout) = process.ends()?;
    let reader = Reader { most: call.pipe.max_output_size, budget: case.gate.messages.budget() };
    let (output, _room) = converse(&message, stdin, stdout, &reader, call.timeout).await?;
    let status = within(call.timeout, process.end()).await??;
    if !status.success() {
        return Err(FilterError::Failed(format!("the program ended with {status}")));
    }
    if output.is_empty() {
        return Err(FilterError::Failed("the program wrote nothing".into()));
    }
    // Else the next hop would get what this gate itself refuses.
    if !Header::parse(&output).is_ok_and(|header| header.is_of_a_message()) {
        return Err(FilterError::Protocol("what the program wrote is no message".into()));
    }
    if is_same(&message, &output).await? {
        return Ok(Verdict::Pass(Vec::new()));
    }
    Ok(Verdict::Pass(vec![Modification::Edit(Edit::ReplaceMessage(output.into()))]))
}

/// Writes the message and reads the answer at the same time: a program may answer before it has read everything.
async fn converse(
    message: &Content,
    stdin: impl AsyncWrite + Unpin,
    stdout: impl AsyncRead + Unpin,
    reader: &Reader<'_>,
    limit: Option<Duration>,
) -> Result<(Vec<u8>, Reservation), FilterError> {
    let (written, all_is_written) = oneshot::channel();
    let writing = async {
        within(limit, write(message, stdin)).await??;
        // Nobody listens when the answer was there first.
        let _ = written.send(());
        Ok(())
    };
    let reading = async {
        let mut reading = std::pin::pin!(reader.read(stdout));
        // The time for the answer begins when the program has the whole message.
        tokio::select! {
            output = &mut reading => output,
            Ok(()) = all_is_written => within(limit, reading).await?,
        }
    };
    let ((), output) = tokio::try_join!(writing, reading)?;
    Ok(output)
}

async fn write(message: &Content, mut stdin: impl AsyncWrite + Unpin) -> Result<(), FilterError> {
    let lost = |source| FilterError::Lost { what: "writing the message", source };
    let mut blocks = message.blocks();
    while let Some(block) = blocks.next().await.map_err(FilterError::Unreadable)? {
        stdin.write_all(block).await.map_err(lost)?;
    }
    stdin.shutdown().await.map_err(lost)
}

/// Reads what a program writes, as far as it may go.
struct Reader<'a> {
    most: u64,
    budget: &'a Budget,
}

impl Reader<'_> {
    async fn read(&self, mut stdout: impl AsyncRead + Unpin) -> Result<(Vec<u8>, Reservation), FilterError> {
        let no_room = |octets| FilterError::NoRoom { octets };
        let mut room = self.budget.memory(0).ok_or_else(|| no_room(0))?;
        let (mut output, mut block) = (Vec::new(), vec![0; BLOCK_OCTETS]);
        loop {
            let read = stdout.read(&mut block).await;
            let read = read.map_err(|source| FilterError::Lost { what: "reading the answer", source })?;
            let part = block.get(..read).unwrap_or_default();
            if part.is_empty() {
                return Ok((output, room));
            }
            let octets = output.len() as u64 + part.len() as u64;
            if octets > self.most {
                return Err(FilterError::AnswerTooLarge { most: self.most });
            }
            if !room.grow_to(octets) {
                return Err(no_room(octets));
            }
            output.extend_from_slice(part);
        }
    }
}

/// Whether the program has changed nothing.
async fn is_same(message: &Content, output: &[u8]) -> Result<bool, FilterError> {
    if message.octets() != output.len() as u64 {
        return Ok(false);
    }
    let (mut blocks, mut rest) = (message.blocks(), output);
    while let Some(block) = blocks.next().await.map_err(FilterError::Unreadable)? {
        match rest.strip_prefix(block) {
            Some(next) => rest = next,
            None => return Ok(false),
        }
    }
    Ok(true)
}

async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Result<T, FilterError> {
    match limit {
        None => Ok(work.await),
        Some(after) => {
            timeout(after, work).await.map_err(|_| FilterError::Timeout { what: "the message", after })
        }
    }
}

const BLOCK_OCTETS: usize = 16 * 1024;

#[cfg(test)]
mod tests;
