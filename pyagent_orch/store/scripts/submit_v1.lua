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

local reply = {'ok', tostring(now), ''}
for index = 1, tonumber(take()) do
  local id, delay, entry, message_parts = record()
  if not id then
    reply[#reply + 1] = index
    reply[#reply + 1] = delay
  else
    if reply[3] == '' then reply[3] = entry end
    if delay > 0 then schedule_push(id, now + delay) else push(id, message_parts) end
  end
end
return reply
