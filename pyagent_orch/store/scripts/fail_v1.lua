-- fail: an attempt failed and there is no other one.
--
-- ARGV: id, run, worker's lease id, error as JSON, Celery's form of it, traceback as
--       JSON, now in ISO 8601, usage as JSON or ''.
-- Returns {'ok'}, {'missing'}, {'final', status} or {'stale'}.

local id, run, worker = ARGV[1], ARGV[2], ARGV[3]
local key = P .. 'task:' .. id
local r = call('HMGET', key, 'status', 'run')
-- An attempt that was taken for dead says nothing about the one that runs now, which may be
-- on this very worker: its note of what it runs has to stay.
if r[1] == 'running' and r[2] ~= run then return {'stale'} end
call('SREM', P .. 'running:' .. worker, id)
if not r[1] then return {'missing'} end
if FINAL[r[1]] then return {'final', r[1]} end
if r[1] ~= 'running' then return {'stale'} end
if ARGV[8] ~= '' then
  count_usage(id, ARGV[8])
  call('HSET', key, 'usage', ARGV[8])
end
fail(id, 'running', ARGV[7], ARGV[4], ARGV[5], ARGV[6])
return {'ok'}
