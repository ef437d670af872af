//! Steps that Redis takes as one. Each touches a single key, so that a cluster can run it.

use std::sync::LazyLock;

use redis::Script;

/// Adds events, or none, to the window that Redis's own clock is in, so that clocks of processes do not matter.
/// Returns the events of this window and of the one before, and the milliseconds of this window so far.
pub(super) static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local period = tonumber(ARGV[1])
local window = math.floor(tonumber(time[1]) / period)
local held = redis.call('HMGET', KEYS[1], 'window', 'current', 'previous')
local at, current, previous = tonumber(held[1]), tonumber(held[2]) or 0, tonumber(held[3]) or 0
if at ~= window then
  if at == window - 1 then previous = current else previous = 0 end
  current = 0
end
local events = tonumber(ARGV[2])
if events > 0 then
  current = current + events
  if at == window then
    redis.call('HSET', KEYS[1], 'current', current)
  else
    redis.call('HSET', KEYS[1], 'window', window, 'current', current, 'previous', previous)
    redis.call('EXPIRE', KEYS[1], 2 * period)
  end
end
local elapsed = (tonumber(time[1]) - window * period) * 1000 + math.floor(tonumber(time[2]) / 1000)
return {current, previous, elapsed}
",
    )
});

/// Whether a triple has waited long enough; a first sight begins to wait.
pub(super) static GREYLIST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local now = tonumber(redis.call('TIME')[1])
local delay, expiry = tonumber(ARGV[1]), tonumber(ARGV[2])
local first = tonumber(redis.call('GET', KEYS[1]))
if not first then
  redis.call('SET', KEYS[1], now, 'EX', expiry)
  return delay == 0
end
if now - first < delay then return false end
redis.call('EXPIRE', KEYS[1], expiry)
return true
",
    )
});

/// Adds a message to those that parties have had.
pub(super) static REMEMBER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]))
return 1
",
    )
});
