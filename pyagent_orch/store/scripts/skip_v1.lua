-- skip: a claimed task's condition is false; it, and what only it fed, is not run.
--
-- ARGV: id, run, worker's lease id, reason.

local id, run, worker = ARGV[1], ARGV[2], ARGV[3]
local r = call('HMGET', P .. 'task:' .. id, 'status', 'run')
call('SREM', P .. 'running:' .. worker, id)
if r[1] ~= 'running' or r[2] ~= run then return {'stale'} end
skip(id, 'running', 'out', ARGV[4])
return {'ok'}
