-- submit: record tasks, tell the stream, put their messages on their queues.
-- uses: record
--
-- ARGV: number of new agents, then hash and JSON of each; number of tasks, then the tasks
--       (see record.lua).
-- Returns {'agent', hash} when an agent is unknown (nothing is written), else
--       {'ok', now, first event id, then pairs of (index, id) for tasks that existed
--       under the same key, or (index, '') for ids that are taken by another task}.

local agents = take_agents()
local unknown = unknown_agent(agents)
if unknown then return {'agent', unknown} end
keep_agents(agents)

-- The messages of a batch go onto their queues together, a call for each queue.
local queues = {}
local function put(id, parts)
  local text, list, index, entry = delivery(id, parts)
  local q = queues[entry]
  if not q then
    q = {name = parts[2], list = list, index = index, texts = {}, ids = {}}
    queues[entry] = q
  end
  local n = #q.texts
  q.texts[n + 1], q.ids[2 * n + 1], q.ids[2 * n + 2] = text, now, id
end

local reply = {'ok', tostring(now), ''}
for index = 1, tonumber(take()) do
  local id, delay, entry, parts = record()
  if not id then
    reply[#reply + 1] = index
    reply[#reply + 1] = delay
  else
    if reply[3] == '' then reply[3] = entry end
    if delay > 0 then schedule_push(id, now + delay) else put(id, parts) end
  end
end
count_recorded()
for entry, q in pairs(queues) do
  call('LPUSH', q.list, unpack(q.texts))
  call('ZADD', q.index, unpack(q.ids))
  call('SADD', P .. 'queues', entry)
  ring(q.name)
end
return reply
