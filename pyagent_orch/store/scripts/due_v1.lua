-- due: the jobs that are due by Redis' clock, and how long until the next one is.
--
-- ARGV: how many at the most, the name of the beat that asks or ''. A beat that has asked
--       counts as alive for a lease.
-- Returns {now, ms until the next due time or '', then for each: id, due time, or '' for a
--       job whose queued tick may run now, that tick or '', its fields as names and
--       values, `waiting` (how many ticks are queued) among them}.

local function fields_of(id)
  local fields = call('HGETALL', P .. 'job:' .. id)
  if #fields > 0 then
    fields[#fields + 1] = 'waiting'
    fields[#fields + 1] = tostring(call('LLEN', P .. 'job:' .. id .. ':waiting'))
  end
  return fields
end

if ARGV[2] ~= '' then
  call('ZADD', P .. 'beats', now + LEASE_MS, ARGV[2])
  call('ZREMRANGEBYSCORE', P .. 'beats', '-inf', now - LEASE_MS)
  call('PEXPIRE', P .. 'beats', 2 * LEASE_MS)
end

local reply = {tostring(now), ''}
local limit = tonumber(ARGV[1])
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'jobs:waiting', '-inf', now, 'LIMIT', 0, limit)) do
  local key = P .. 'job:' .. id
  local tick = call('LINDEX', key .. ':waiting', 0)
  if tick then
    for _, part in ipairs({id, '', tick, fields_of(id)}) do reply[#reply + 1] = part end
  else
    call('ZREM', P .. 'jobs:waiting', id)
  end
end
local due = call('ZRANGEBYSCORE', P .. 'jobs:due', '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit)
for i = 1, #due, 2 do
  local fields = fields_of(due[i])
  if #fields == 0 then
    call('ZREM', P .. 'jobs:due', due[i])
  else
    for _, part in ipairs({due[i], due[i + 1], '', fields}) do reply[#reply + 1] = part end
  end
end
local next = call('ZRANGEBYSCORE', P .. 'jobs:due', '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if next[2] then reply[2] = tostring(next[2] - now) end
return reply
