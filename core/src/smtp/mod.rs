//! The wire: lines, commands, parameters, replies, and the readers of message data.
