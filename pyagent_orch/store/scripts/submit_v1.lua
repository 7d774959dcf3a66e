-- submit: record tasks, tell the stream, put their messages on their queues.
--
-- ARGV: number of new agents, then hash and JSON of each;
--       number of tasks, then for each: id, delay in ms, idempotency key or '',
--       number of field/value strings, those strings ('agent' and 'input' among them).
-- Returns {'agent', hash} when an agent is unknown (nothing is written), else
--       {'ok', now, first event id, then pairs of (index, id) for tasks that existed
--       under the same key, or (index, '') for ids that are taken by another task}.

local at = 1
local function take()
  at = at + 1
  return ARGV[at - 1]
end

local agents = {}
for _ = 1, tonumber(take()) do
  local hash = take()
  agents[hash] = take()
end
local first = at

-- Look before the first write: the act is all or nothing.
for _ = 1, tonumber(take()) do
  at = at + 3
  local last = at + tonumber(ARGV[at])
  for i = at + 1, last, 2 do
    local hash = ARGV[i + 1]
    if ARGV[i] == 'agent' and not agents[hash] and call('EXISTS', P .. 'agent:' .. hash) == 0 then
      return {'agent', hash}
    end
  end
  at = last + 1
end

for hash, json in pairs(agents) do
  call('HSETNX', P .. 'agent:' .. hash, 'json', json)
  -- An agent whose tasks all existed already must not stay for ever.
  call('PEXPIRE', P .. 'agent:' .. hash, RECORD_TTL)
  if tonumber(call('HGET', P .. 'agent:' .. hash, 'active') or 0) > 0 then
    call('PERSIST', P .. 'agent:' .. hash)
  end
end

at = first
local reply = {'ok', tostring(now), ''}
for index = 1, tonumber(take()) do
  local id, delay, unique = take(), tonumber(take()), take()
  local size = tonumber(take())
  local fields, name, agent, input = {}, '', '', ''
  for i = 1, size do fields[i] = ARGV[at + i - 1] end
  for i = 1, size, 2 do
    if fields[i] == 'name' then name = fields[i + 1]
    elseif fields[i] == 'agent' then agent = fields[i + 1]
    elseif fields[i] == 'input' then input = fields[i + 1] end
  end
  at = at + size

  local key = P .. 'task:' .. id
  local same = unique ~= '' and call('GET', P .. 'key:' .. unique)
  if same and call('EXISTS', P .. 'task:' .. same) == 1 then
    reply[#reply + 1] = index
    reply[#reply + 1] = same
  elseif call('EXISTS', key) == 1 then
    -- A repeat of this very submit (its answer was lost on the way) is no error.
    local old = call('HMGET', key, 'agent', 'input')
    reply[#reply + 1] = index
    reply[#reply + 1] = (old[1] == agent and old[2] == input) and id or ''
  else
    call('HSET', key, 'status', 'pending', 'created', now, unpack(fields))
    hold_agent(agent)
    if unique ~= '' then
      call('HSET', key, 'key', unique)
      call('SET', P .. 'key:' .. unique, id)
    end
    move(id, nil, 'pending')
    local entry = event('task.submitted', id, 'name', name)
    if reply[3] == '' then reply[3] = entry end
    if delay > 0 then schedule_push(id, now + delay) else push(id) end
  end
end
return reply
