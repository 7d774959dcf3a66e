-- release: a worker gives back a task that it runs.
--
-- ARGV: id, run, worker's lease id, worker's name, '1' if the process that ran it died,
--       '0' if it stopped on purpose, now in ISO 8601.
-- Returns {'ok'} when it was pushed again, {'failed'} when it is given up, else {'stale'}.

local id, run, worker = ARGV[1], ARGV[2], ARGV[3]
local key = P .. 'task:' .. id
local r = call('HMGET', key, 'status', 'run', 'owner')
if r[1] ~= 'running' or r[3] ~= worker or (run ~= '' and r[2] ~= run) then return {'stale'} end
if ARGV[5] == '1' then
  return {lose(id, ARGV[4], ARGV[6]) and 'ok' or 'failed'}
end
give_back(id, ARGV[4])
return {'ok'}
