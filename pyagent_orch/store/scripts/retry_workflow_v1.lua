-- retry_workflow: run again what did not complete; every recorded output stays.
-- uses: recount
--
-- ARGV: id, then ids of tasks to take up again with those that were skipped because of
--       them; without any, all that failed, were cancelled, or were skipped for that.
-- Returns {'missing'}, {'refused', status}, {'gone', what} or {'ok', number of tasks}.

local workflow = ARGV[1]
local key = workflow_key(workflow)
local w = call('HMGET', key, 'status', 'name', 'cancelled', 'deadline')
if not w[1] then return {'missing'} end
local all = call('LRANGE', key .. ':tasks', 0, -1)

local again, order = {}, {}
local function take_up(id)
  if again[id] then return end
  local r = call('HMGET', P .. 'task:' .. id, 'status', 'expanded')
  -- What runs or completed is not touched.
  if not r[1] or not FINAL[r[1]] or r[1] == 'completed' then return end
  again[id] = true
  order[#order + 1] = id
  -- A flow goes on where it was, with what it spawned.
  if r[2] and r[2] ~= '' then
    for child in pairs(deps_of(id)) do take_up(child) end
  end
end
for i = 2, #ARGV do take_up(ARGV[i]) end
if #ARGV == 1 then
  if w[1] == 'completed' or w[1] == 'pending' then return {'refused', w[1]} end
  for _, id in ipairs(all) do
    -- `out`: a branch that was not taken, or what was not needed any more, stays so.
    local r = call('HMGET', P .. 'task:' .. id, 'status', 'skip', 'soft')
    -- `soft`: its flow takes it up, if that is to go on.
    local ended = r[1] == 'failed' or (r[2] ~= 'out' and (r[1] == 'cancelled' or r[1] == 'skipped'))
    if ended and not r[3] then take_up(id) end
  end
end
-- What was skipped because of them is decided anew.
local next_one = 1
while next_one <= #order do
  local r = call('HMGET', P .. 'task:' .. order[next_one], 'next', 'rescue')
  for follower in ids_of((r[1] or '') .. ' ' .. (r[2] or '')) do
    local f = call('HMGET', P .. 'task:' .. follower, 'status', 'skip')
    if not (f[1] == 'cancelled' and f[2] == 'out') then take_up(follower) end
  end
  next_one = next_one + 1
end
if #order == 0 then return {'refused', w[1]} end
for _, id in ipairs(order) do
  local agent = call('HGET', P .. 'task:' .. id, 'agent')
  if agent and call('HEXISTS', P .. 'agent:' .. agent, 'json') == 0 then return {'gone', agent} end
end

local final = w[1] ~= 'pending' and w[1] ~= 'running'
if final then
  for _, id in ipairs(all) do
    call('PERSIST', P .. 'task:' .. id)
    call('PERSIST', result_key(id))
    local agent = call('HGET', P .. 'task:' .. id, 'agent')
    if agent then hold_agent(agent) end
  end
  call('PERSIST', key)
  call('PERSIST', key .. ':tasks')
end
-- What stays failed or cancelled still decides how the workflow ends.
local cause, since, cancelled = nil, math.huge, false
for _, id in ipairs(#ARGV > 1 and all or {}) do
  local r = call('HMGET', P .. 'task:' .. id, 'status', 'skip', 'finished', 'name', 'error', 'soft')
  if not again[id] and not r[6] and (r[1] == 'failed' or (r[1] == 'cancelled' and r[2] ~= 'out')) then
    if tonumber(r[3]) < since then cause, since = cause_of(id, r[4], r[1], r[5]), tonumber(r[3]) end
    cancelled = cancelled or r[1] == 'cancelled'
  end
end
call('HDEL', key, 'finished', 'cause', 'cancelled')
if cause then call('HSET', key, 'cause', cause) end
if cancelled and w[3] then call('HSET', key, 'cancelled', w[3]) end
call('HSET', key, 'status', 'running')
if final and w[4] then call('ZADD', P .. 'deadlines', now + w[4], workflow) end
move_workflow(workflow, w[1], 'running')
call('HINCRBY', key, 'open', #order)
event('workflow.retried', workflow, 'name', w[2], 'tasks', #order)

for _, id in ipairs(order) do
  local task = P .. 'task:' .. id
  local r = call('HMGET', task, 'status', 'name')
  call('HDEL', task, 'error', 'finished', 'started', 'failures', 'losses', 'deferrals',
    'skip', 'ready', 'ok', 'bad', 'out', 'blocked')
  call('HSET', task, 'status', 'pending')
  call('HINCRBY', task, 'requeues', 1)
  call('DEL', result_key(id))
  move(id, r[1], 'pending')
  event('task.requeued', id, 'name', r[2])
end
local reasons = {}
for _, id in ipairs(order) do reasons[id] = recount(id) end
for _, id in ipairs(order) do weigh(id, reasons[id] or 'its branch was not taken') end
return {'ok', #order}
