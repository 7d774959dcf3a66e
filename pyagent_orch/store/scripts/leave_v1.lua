-- leave: a worker stops. What it still runs or holds goes back to the queues at once.
-- uses: held
--
-- ARGV: worker's lease id, worker's name, then ids that it has taken and not started.

local worker, name = ARGV[1], ARGV[2]
local given_back = 0
for _, id in ipairs(call('SMEMBERS', P .. 'running:' .. worker)) do
  local r = call('HMGET', P .. 'task:' .. id, 'status', 'owner')
  if r[1] == 'running' and r[2] == worker then
    give_back(id, name)
    given_back = given_back + 1
  end
end
for i = 3, #ARGV do
  local status = call('HGET', P .. 'task:' .. ARGV[i], 'status')
  if status == 'pending' or status == 'retrying' then push(ARGV[i]) end
end
restore_messages(worker)
if call('ZREM', P .. 'workers', worker) == 1 then event('worker.offline', name, 'tasks', given_back) end
call('DEL', P .. 'worker:' .. worker, P .. 'running:' .. worker, P .. 'cancels:' .. worker)
return given_back
