-- retry: an attempt failed and another one follows.
--
-- ARGV: id, run, worker's lease id, delay in ms, error as JSON,
--       '1' if the attempt counts as a failure, '0' if it was only put off (429), usage as
--       JSON, with that of this attempt, or ''.
-- Returns {'ok'}, {'missing'}, {'final', status} or {'stale'}.

local id, run, worker, delay = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local key = P .. 'task:' .. id
local r = call('HMGET', key, 'status', 'run', 'name', 'attempts', 'worker')
-- An attempt that was taken for dead says nothing about the one that runs now, which may be
-- on this very worker: its note of what it runs has to stay.
if r[1] == 'running' and r[2] ~= run then return {'stale'} end
call('SREM', P .. 'running:' .. worker, id)
if not r[1] then return {'missing'} end
if FINAL[r[1]] then return {'final', r[1]} end
if r[1] ~= 'running' then return {'stale'} end

if ARGV[6] == '1' then
  call('HINCRBY', key, 'failures', 1)
else
  call('HINCRBY', key, 'attempts', -1)
  call('HINCRBY', key, 'deferrals', 1)
end
call('HSET', key, 'status', 'retrying', 'error', ARGV[5])
if ARGV[7] ~= '' then
  count_usage(id, ARGV[7])
  call('HSET', key, 'usage', ARGV[7])
end
call('HDEL', key, 'owner')
local outcome = ARGV[6] == '1' and 'retried' or 'deferred'
observe_attempt(id, outcome, r[3])
move(id, 'running', 'retrying')
count_failure(ARGV[5], outcome)
event('task.retried', id, 'name', r[3], 'attempt', r[4], 'worker', r[5], 'delay_ms', delay, 'error', ARGV[5])
if delay > 0 then schedule_push(id, now + delay) else push(id) end
return {'ok'}
