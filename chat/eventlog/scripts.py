"""The Lua scripts of a conversation's event log (`chat.eventlog.store` says what the keys hold)."""

from __future__ import annotations

from typing import Final

from accounts.lib.redis import Script

_SERVER: Final = """
local info = redis.call('INFO', 'server')
local at = string.find(info, 'run_id:', 1, true)
local server = at and string.sub(info, at + 7, at + 46) or ''
local now = redis.call('TIME')
"""
# A call whose reply was lost is sent again with the same arguments, perhaps to a server that has lost everything. The
# time makes another epoch of it, so that no epoch has two events of one `seq`.
_FRESH: Final = """
local fresh = string.sub(redis.sha1hex(ARGV[1] .. server .. now[1] .. '.' .. now[2]), 1, 16)
"""

APPEND: Final = Script(
    _SERVER
    + _FRESH
    + """
local ttl, meta_ttl, maxlen = ARGV[2], ARGV[3], ARGV[4]
local out, a = {}, 5
for k = 1, #KEYS, 2 do
  local meta, stream = KEYS[k], KEYS[k + 1]
  local run, attempt, number = ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local channel, state, count = ARGV[a + 3], ARGV[a + 4], tonumber(ARGV[a + 5])
  local field = 'r:' .. run
  local known = redis.call('HMGET', meta, 'e', 's', field, 'i')
  local epoch, seq, status = known[1], tonumber(known[2] or 0), 1
  if not epoch or known[4] ~= server then
    epoch, seq, known[3] = fresh, 0, false
    redis.call('DEL', meta, stream)
    redis.call('HSET', meta, 'e', epoch, 'i', server, 's', 0, 't', 0)
  end
  if run ~= '' and known[3] then
    local colon = string.find(known[3], ':', 1, true)
    local at, n = tonumber(string.sub(known[3], 1, colon - 1)), tonumber(string.sub(known[3], colon + 1))
    if attempt < at then
      status = attempt == 0 and 0 or -1
    elseif attempt == at and number <= n then
      status = (n >= 999999999 and number < 999999999) and -1 or 0
    end
  elseif attempt == 1 and number == 1 then
    status = -2
  elseif run ~= '' and number > 1 then
    state = '2'
  end
  if status == 1 and state == '2' and epoch ~= fresh then
    epoch, seq = fresh, 0
    redis.call('DEL', meta, stream)
    redis.call('HSET', meta, 'e', epoch, 'i', server, 's', 0, 't', 0)
  end
  if status == 1 then
    for i = a + 6, a + 5 + count do
      seq = seq + 1
      redis.call('XADD', stream, 'MAXLEN', '~', maxlen, seq .. '-0', 'm', ARGV[i])
      redis.call('PUBLISH', channel, '\\193' .. epoch .. ':' .. seq .. ' ' .. ARGV[i])
    end
    if run ~= '' then
      redis.call('HSET', meta, 's', seq, field, attempt .. ':' .. number)
    else
      redis.call('HSET', meta, 's', seq)
    end
    if state ~= '0' then
      redis.call('HSET', meta, 't', seq)
    end
    if state ~= '0' or seq % 32 < count then
      redis.call('PEXPIRE', stream, ttl)
      redis.call('PEXPIRE', meta, meta_ttl)
    end
  end
  out[#out + 1] = status
  out[#out + 1] = epoch
  out[#out + 1] = seq
  a = a + 6 + count
end
return out
"""
)

# Begins the log again, too, if it is from another Redis process, and may lack its last events.
_KNOWN: Final = (
    _SERVER
    + _FRESH
    + """
local known = redis.call('HMGET', KEYS[1], 'e', 's', 't', 'i')
if not known[1] or known[4] ~= server then
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'e', fresh, 'i', server, 's', 0, 't', 0)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  known = {fresh, 0, 0}
end
"""
)
POSITION: Final = Script(_KNOWN + "return {known[1], tonumber(known[2]), tonumber(known[3])}")
READ: Final = Script(
    _KNOWN
    + """
return {known[1], tonumber(known[2]), redis.call('XRANGE', KEYS[2], ARGV[3] .. '-0', '+', 'COUNT', ARGV[4])}"""
)
