-- submit_workflow: record a workflow and all its tasks, and start what can start.
-- uses: record
--
-- ARGV: number of new agents, then hash and JSON of each; number of tasks, then the tasks
--       (see record.lua); workflow's id, deadline in ms from now or 0, number of
--       field/value strings, those strings ('name' and 'token' among them).
-- Returns {'agent', hash} (nothing is written), {'exists', status} (nothing is written),
--       {'taken', task id} (nothing is written) or {'ok', now}.

local agents = take_agents()
local unknown = unknown_agent(agents)
if unknown then return {'agent', unknown} end

local tasks_at, count = at, tonumber(ARGV[at])
local ids = {}
at = at + 1
for i = 1, count do
  ids[i] = ARGV[at]
  at = at + 5 + tonumber(ARGV[at + 4])
end
local workflow, deadline, size = take(), tonumber(take()), tonumber(take())
local key = workflow_key(workflow)
local fields, token = {}, nil
for i = 1, size do
  fields[i] = take()
  if i % 2 == 0 and fields[i - 1] == 'token' then token = fields[i] end
end
local old = call('HMGET', key, 'status', 'token', 'created')
-- A repeat of this very submit (its answer was lost on the way) is no error.
if old[1] and old[2] == token then return {'ok', old[3]} end
if old[1] then return {'exists', old[1]} end
for _, id in ipairs(ids) do
  if call('EXISTS', P .. 'task:' .. id) == 1 then return {'taken', id} end
end

keep_agents(agents)
call('HSET', key, 'status', 'pending', 'created', now, 'open', 0, unpack(fields))
move_workflow(workflow, 'pending', 'pending')
local w = call('HMGET', key, 'name', 'external')
event('workflow.submitted', workflow, 'name', w[1], 'tasks', count)
at = tasks_at + 1
local open = 0
for _ = 1, count do
  local id = record(workflow)
  if not FINAL[call('HGET', P .. 'task:' .. id, 'status')] then open = open + 1 end
end
count_recorded()
call('HSET', key, 'open', open)
if deadline > 0 then
  call('HSET', key, 'deadline', deadline)
  call('ZADD', P .. 'deadlines', now + deadline, workflow)
end
for _, id in ipairs(ids) do weigh(id, '') end
if open == 0 then finalize(workflow) end
return {'ok', tostring(now)}
