-- cancel: end a task that is not final. A running one is stopped by its worker,
-- which finds the order at its next heartbeat.
--
-- ARGV: id, reason, now in ISO 8601.
-- Returns {'missing'}, {'final', status} or {'ok', the state it was in}.

local id, reason, done = ARGV[1], ARGV[2], ARGV[3]
local key = P .. 'task:' .. id
local r = call('HMGET', key, 'status', 'owner', 'name', 'attempts')
if not r[1] then return {'missing'} end
if FINAL[r[1]] then return {'final', r[1]} end
if r[2] then call('RPUSH', P .. 'cancels:' .. r[2], id) end
close(id, r[1], 'cancelled', 'error', cjson.encode({type = 'TaskCancelledError', message = reason}))
write_result(id, 'REVOKED', done,
  cjson.encode({exc_type = 'TaskRevokedError', exc_message = {reason}, exc_module = 'celery.exceptions'}), 'null')
event('task.cancelled', id, 'name', r[3], 'attempt', r[4] or '0')
return {'ok', r[1]}
