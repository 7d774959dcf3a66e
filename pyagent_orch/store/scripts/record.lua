-- Writing new records, for the acts that do (`-- uses: record`).
--
-- A task among the arguments is: id, delay in ms, idempotency key or '', output or '',
-- number of field/value strings, those strings ('name', 'agent', 'input' among them).
-- With an output it is recorded as completed, with a field `skip` as skipped.

-- A newer version has taken the namespace over: what is written here would be seen by nobody.
local newer = newer_layout()
if newer then return newer end

local at = 1
local function take()
  at = at + 1
  return ARGV[at - 1]
end

-- Read the agents that come along: number, then hash and JSON of each.
local function take_agents()
  local agents = {}
  for _ = 1, tonumber(take()) do
    local hash = take()
    agents[hash] = take()
  end
  return agents
end

-- Maps an agent to the number of its tasks among the arguments.
local uses = {}

-- Look before the first write, so that an act is all or nothing: an agent that is
-- neither in the store nor along, or nil. Leaves `at` where it was.
local function unknown_agent(agents)
  local first = at
  for _ = 1, tonumber(take()) do
    at = at + 4
    local last = at + tonumber(ARGV[at])
    for i = at + 1, last, 2 do
      if ARGV[i] == 'agent' then uses[ARGV[i + 1]] = (uses[ARGV[i + 1]] or 0) + 1 end
    end
    at = last + 1
  end
  at = first
  for hash in pairs(uses) do
    if not agents[hash] and call('HEXISTS', P .. 'agent:' .. hash, 'json') == 0 then return hash end
  end
end

local function keep_agents(agents)
  for hash, json in pairs(agents) do
    call('HSETNX', P .. 'agent:' .. hash, 'json', json)
    if not uses[hash] then call('PEXPIRE', P .. 'agent:' .. hash, RECORD_TTL) end
  end
  for hash, times in pairs(uses) do hold_agent(hash, times) end
end

-- Maps a queue to the number of new tasks for it.
local recorded = {}
local function count_recorded()
  for queue, number in pairs(recorded) do count('submitted', '', '', queue, number) end
end

-- Read and write one task; its agent is held already. Returns its id, its delay, the id of
-- its event and what `delivery` takes; or, when it exists, nil and the id of the task that
-- has its key or id ('' when that is another one).
local function record(workflow)
  local id, delay, unique, output = take(), tonumber(take()), take(), take()
  local size = tonumber(take())
  local first, fields = at, {}
  for i = at, at + size - 1, 2 do fields[ARGV[i]] = ARGV[i + 1] end
  at = at + size
  local name, agent, input = fields.name, fields.agent, fields.input or ''

  local key = P .. 'task:' .. id
  local same = unique ~= '' and call('GET', P .. 'key:' .. unique)
  if same and call('EXISTS', P .. 'task:' .. same) == 1 then
    drop_agent(agent)
    return nil, same
  end
  if call('EXISTS', key) == 1 then
    drop_agent(agent)
    -- A repeat of this very submit (its answer was lost on the way) is no error.
    local old = call('HMGET', key, 'agent', 'input')
    return nil, (old[1] == agent and (old[2] or '') == input) and id or ''
  end
  local status = output ~= '' and 'completed' or (fields.skip and 'skipped' or 'pending')
  call('HSET', key, 'status', status, 'created', now, unpack(ARGV, first, at - 1))
  if unique ~= '' then
    call('HSET', key, 'key', unique)
    call('SET', P .. 'key:' .. unique, id)
  end
  if workflow then
    call('HSET', key, 'workflow', workflow)
    call('RPUSH', workflow_key(workflow) .. ':tasks', id)
    if delay > 0 then call('HSET', key, 'delay', delay) end
  end
  move(id, nil, status)
  recorded[fields.queue] = (recorded[fields.queue] or 0) + 1
  if status ~= 'pending' then call('HSET', key, 'finished', now) end
  if output ~= '' then write_result(id, 'SUCCESS', '', output, 'null', true) end
  return id, delay, event('task.submitted', id, 'name', name),
    {name, fields.queue, fields.priority, fields.timeout, fields.input}
end
