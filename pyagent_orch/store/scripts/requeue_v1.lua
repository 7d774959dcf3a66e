-- requeue: somebody wants a task that failed or was cancelled to be tried again.
--
-- ARGV: id.
-- Returns {'missing'}, {'refused', status}, {'gone', agent}, {'workflow', id} (retry it
--       there) or {'ok'}.

local id = ARGV[1]
local key = P .. 'task:' .. id
local r = call('HMGET', key, 'status', 'agent', 'name', 'key', 'workflow')
if not r[1] then return {'missing'} end
if r[1] == 'completed' or not FINAL[r[1]] then return {'refused', r[1]} end
if r[5] then return {'workflow', r[5]} end
if call('HEXISTS', P .. 'agent:' .. r[2], 'json') == 0 then return {'gone', r[2]} end
hold_agent(r[2])
call('PERSIST', key)
if r[4] then call('PERSIST', P .. 'key:' .. r[4]) end
call('HDEL', key, 'error', 'finished', 'started', 'failures', 'losses', 'deferrals')
call('HSET', key, 'status', 'pending')
-- Tells its old end from the new one, to whoever has read the record just before.
call('HINCRBY', key, 'requeues', 1)
call('DEL', result_key(id))
move(id, r[1], 'pending')
event('task.requeued', id, 'name', r[3])
push(id)
return {'ok'}
