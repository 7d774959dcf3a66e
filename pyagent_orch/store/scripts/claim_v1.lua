-- claim: the only way into RUNNING.
--
-- ARGV: id, worker's lease id, worker's name, now in ISO 8601.
-- Returns {'run', run, then the values of FIELDS, agent JSON} or, refused,
--       {'missing'}, {'held'}, {'early'} or {'final', status, output or false}.

local id, worker, name, done = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = P .. 'task:' .. id
local r = call('HMGET', key, 'status', 'owner', 'queue', 'priority', 'agent', 'name', 'worker')
local status = r[1]
if not status then return {'missing'} end
if FINAL[status] then return {'final', status, status == 'completed' and read_output(id)} end
if status == 'running' then
  if lease(r[2]) then return {'held'} end
  -- Its worker is dead and nobody has swept yet. This message becomes the new push.
  if not lose(id, r[7] or '', done) then return {'final', 'failed', false} end
  status = 'pending'
end
if call('ZSCORE', P .. 'delayed', id) then return {'early'} end

local run = call('HINCRBY', key, 'run', 1)
local attempt = call('HINCRBY', key, 'attempts', 1)
call('HSETNX', key, 'started', now)
call('HSET', key, 'status', 'running', 'owner', worker, 'worker', name)
unqueue(id, r[3], r[4])
call('SADD', P .. 'running:' .. worker, id)
move(id, status, 'running')
event('task.started', id, 'name', r[6], 'attempt', attempt, 'worker', name)
local fields = call('HMGET', key, unpack(FIELDS))
return {'run', run, fields, call('HGET', P .. 'agent:' .. r[5], 'json')}
