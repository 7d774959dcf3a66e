-- cancel: end a task that is not final. A running one is stopped by its worker,
-- which finds the order at its next heartbeat.
--
-- ARGV: id, reason, now in ISO 8601.
-- Returns {'missing'}, {'final', status} or {'ok', the state it was in}.

local id, reason, done = ARGV[1], ARGV[2], ARGV[3]
local key = P .. 'task:' .. id
local status = call('HGET', key, 'status')
if not status then return {'missing'} end
if FINAL[status] then return {'final', status} end
cancel(id, status, reason, 'bad', done)
return {'ok', status}
