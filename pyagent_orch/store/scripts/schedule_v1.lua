-- schedule: write a scheduled job: a new one, a changed one, a paused or resumed one.
--
-- ARGV: id, revision that it must have (0: it must not exist), next due time in ms or '', the
--       due time, or '', from which that was found, event type, number of field/value strings,
--       those strings ('name' among them when new).
-- Returns {'stale', revision} (nothing is written) or {'ok', revision, now}.

local id, expected, due, seen = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local type, size = ARGV[5], tonumber(ARGV[6])
local key = P .. 'job:' .. id
local revision = call('HGET', key, 'rev') or '0'
if revision ~= expected then return {'stale', revision} end
-- A firing moves a job on without a new revision: what was found before it may be the due time
-- that has just been fired.
local score = call('ZSCORE', P .. 'jobs:due', id)
if revision ~= '0' and due ~= '' and (score and tonumber(score)) ~= (seen ~= '' and tonumber(seen)) then
  return {'stale', revision}
end
if revision == '0' then call('HSET', key, 'created', now, 'runs', 0) end
call('HSET', key, 'rev', revision + 1, unpack(ARGV, 7, 6 + size))
if call('HGET', key, 'enabled') == '1' then
  -- Also one that had ended; one that stays so still expires.
  call('HDEL', key, 'ended')
  call('PERSIST', key)
  call('PERSIST', key .. ':runs')
end
call('ZADD', P .. 'jobs', 'NX', now, id)
if due == '' then call('ZREM', P .. 'jobs:due', id) else call('ZADD', P .. 'jobs:due', due, id) end
if call('LLEN', key .. ':waiting') > 0 then call('ZADD', P .. 'jobs:waiting', now, id) end
local fields = call('HMGET', key, 'name', 'problem')
event(type, id, 'name', fields[1], 'reason', fields[2] or '')
return {'ok', revision + 1, tostring(now)}
