-- expand: a running task adds tasks to its workflow and waits for them, without a
-- worker: it is PENDING until they are done, and then runs again with their outputs.
-- uses: record
--
-- ARGV: number of new agents, then hash and JSON of each; number of tasks, then the tasks
--       (see record.lua); id of the running task, run, worker's lease id, its state as
--       JSON, `need` (see joins.lua), '1' if the rest is cancelled then, 'end' if it is when
--       the task is done, or ''; whom it waits for as JSON, id to name; the ids of all new
--       tasks in one string; after how many ms it runs again even so, or ''.
-- Returns {'agent', hash} (nothing is written), {'stale'} (nothing is written) or {'ok'}.

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
local id, run, worker, state = take(), take(), take(), take()
local need, rest, deps, spawned, wake = take(), take(), take(), take(), take()
local key = P .. 'task:' .. id
local r = call('HMGET', key, 'status', 'run', 'workflow', 'expanded', 'name', 'attempts', 'n', 'need', 'deps', 'cancel_rest')
if r[1] ~= 'running' or r[2] ~= run then return {'stale'} end

keep_agents(agents)
at = tasks_at + 1
local open = 0
for _ = 1, count do
  if record(r[3]) then open = open + 1 end
end
count_recorded()
call('HINCRBY', workflow_key(r[3]), 'open', open)
call('SREM', P .. 'running:' .. worker, id)
call('HINCRBY', key, 'attempts', -1)
-- A copy of the workflow begins with what it waited for at first.
if call('HSETNX', key, 'n0', r[7] or '0') == 1 then
  call('HSET', key, 'need0', r[8] or '', 'deps0', r[9] or '{}', 'cancel_rest0', r[10] or '')
end
call('HDEL', key, 'owner', 'ready', 'wake', 'cancel_rest')
if rest ~= '' then call('HSET', key, 'cancel_rest', rest) end
-- What it was given before and goes on waiting for may be final by now.
local waits, counts, reason = 0, {ok = 0, bad = 0, out = 0}, ''
for dependency in pairs(cjson.decode(deps)) do
  waits = waits + 1
  local d = call('HMGET', P .. 'task:' .. dependency, 'status', 'skip', 'name', 'error')
  if d[1] and FINAL[d[1]] then
    local kind = d[1] == 'completed' and 'ok' or d[2] == 'out' and 'out' or 'bad'
    counts[kind] = counts[kind] + 1
    if kind == 'bad' then reason = cause_of(dependency, d[3], d[1], d[4]) end
  end
end
call('HSET', key, 'status', 'pending', 'state', state, 'n', waits, 'need', need, 'deps', deps,
  'ok', counts.ok, 'bad', counts.bad, 'out', counts.out,
  'expanded', (r[4] and r[4] .. ' ' or '') .. spawned)
if wake ~= '' then
  call('HSET', key, 'wake', now + tonumber(wake))
  schedule_push(id, now + tonumber(wake))
end
move(id, 'running', 'pending')
event('task.expanded', id, 'name', r[5], 'attempt', r[6], 'tasks', count)
for _, child in ipairs(ids) do weigh(child, '') end
weigh(id, reason)
return {'ok'}
